// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "../nodes/INodeRegistry.sol";
import {INodeStaking, Role} from "../staking/INodeStaking.sol";
import {OPG} from "../token/OPG.sol";
import {FeeSchedule, Terms} from "./FeeSchedule.sol";
import {Batch, IProofSettlement, Leaf} from "./IProofSettlement.sol";
import {ReceiptLib} from "../receipts/ReceiptLib.sol";
import {SumTree} from "./SumTree.sol";
import {VerifierSets} from "./VerifierSets.sol";
import {VerifierVotes} from "./VerifierVotes.sol";

/// @title Settlement of inference receipts
/// @notice See `IProofSettlement`.
/// @dev A batch costs one new storage slot: its record. The header is not stored; whoever acts on a batch presents it again,
/// and its digest is the record's key.
contract ProofSettlement is IProofSettlement, VerifierSets, FeeSchedule, Ownable2Step, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @notice Stake that must be active to post, and to sit; number of seats a verifier set must have.
    struct Minimums {
        uint256 operatorStake;
        uint256 seatStake;
        uint256 seats;
    }

    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "Batch(bytes32 root,bytes32 blobId,address operator,uint32 count,uint32 setId,uint96 fees,uint64 servedFrom,uint64 servedTo,uint40 seen,bytes32 royaltiesHash)"
    );
    uint256 private constant GWEI = 1e9;
    /// Time to bring a challenge on chain before the stake that answers for it can leave.
    uint256 private constant UNBONDING_MARGIN = 1 hours;

    OPG public immutable token;
    INodeRegistry public immutable registry;
    uint256 public immutable minOperatorStake;

    State public state;
    /// @notice Judges zk proofs of receipts: see `IZkReferee`.
    address public referee;
    mapping(bytes32 batchId => Record) public records;
    mapping(address operator => Account) public accounts;
    /// @notice Royalties that wait to be claimed, wei of OPG.
    mapping(address owner => uint256) public credits;
    /// Four seats a word, 64 bits of gwei each: paying four verifiers writes one slot.
    mapping(uint256 group => uint256) private _seatCredits;

    constructor(
        OPG token_,
        INodeStaking staking_,
        INodeRegistry registry_,
        address owner_,
        Minimums memory minimums,
        Terms memory t
    ) EIP712("OpenGradient", "1") VerifierSets(staking_, minimums.seatStake, minimums.seats) Ownable(owner_) {
        (token, registry, minOperatorStake) = (token_, registry_, minimums.operatorStake);
        _setTerms(1, t, _maxAccountability());
        state.terms = 1;
    }

    // Accounts

    /// @inheritdoc IProofSettlement
    function setSubmitter(address submitter) external {
        accounts[msg.sender].submitter = submitter;
        emit SubmitterSet(msg.sender, submitter);
    }

    /// @inheritdoc IProofSettlement
    function deposit(address operator, uint256 amount) external nonReentrant {
        Account storage account = accounts[operator];
        account.balance = (uint256(account.balance) + amount).toUint96();
        emit Deposited(operator, msg.sender, amount);
        token.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IProofSettlement
    function withdraw(uint256 amount) external nonReentrant {
        Account storage account = accounts[msg.sender];
        uint256 balance = account.balance;
        require(amount <= balance, InsufficientBalance(balance, amount));
        account.balance = uint96(balance - amount);
        emit Withdrawn(msg.sender, amount);
        token.transfer(msg.sender, amount);
    }

    // Batches

    /// @inheritdoc IProofSettlement
    function snapshot() external returns (uint256 setId) {
        State memory s = state;
        require(
            s.setId == 0 || block.timestamp >= s.lastSnapshot + SNAPSHOT_INTERVAL,
            VerifierVotes.SetNotUsable(s.setId)
        );
        setId = ++s.setId;
        s.lastSnapshot = uint48(block.timestamp);
        state = s;
        _snapshot(setId);
    }

    /// @inheritdoc IProofSettlement
    function submitBatch(
        Batch calldata batch,
        uint256[] calldata royalties,
        uint256 seats,
        bytes calldata signatures
    ) external returns (bytes32 batchId) {
        State memory s = state;
        Terms memory t = _terms[s.terms];
        _requirePostable(batch, s, t);
        batchId = _idOf(batch);
        require(records[batchId].status == Status.None, AlreadyPosted(batchId));
        address code = _usableSet(batch.setId);
        _requireStake(batch.operator);

        Record memory record = Record(0, uint40(block.timestamp), ++s.sequence, s.terms, Status.Pending, false);
        emit BatchSubmitted(batchId, batch.operator, batch, s.sequence);

        Account storage account = accounts[batch.operator];
        (address submitter, uint256 balance) = (account.submitter, account.balance);
        require(msg.sender == submitter, NotSubmitter(msg.sender, submitter));
        uint256 due = _due(batch, royalties, t);
        if (seats == 0 || !_vote(batchId, batch, royalties, t, s, record, code, seats, signatures)) due += _bond(t);
        require(balance >= due, InsufficientBalance(balance, due));
        account.balance = uint96(balance - due);
        records[batchId] = record;
        state = s;
    }

    /// @inheritdoc IProofSettlement
    function attest(
        Batch calldata batch,
        uint256[] calldata royalties,
        uint256 seats,
        bytes calldata signatures
    ) external {
        (bytes32 batchId, Record memory record) = _pending(batch);
        Terms memory t = _terms[record.terms];
        uint256 until = uint256(record.postedAt) + t.window;
        // a vote has to be slashable for as long as it counts
        require(block.timestamp <= until, WindowClosed(until));
        State memory s = state;
        _due(batch, royalties, t);
        if (_vote(batchId, batch, royalties, t, s, record, snapshots[batch.setId].code, seats, signatures)) {
            state = s;
            accounts[batch.operator].balance += uint96(_bond(t));
        }
        records[batchId] = record;
    }

    /// @inheritdoc IProofSettlement
    function finalise(Batch calldata batch, uint256[] calldata royalties) external {
        (bytes32 batchId, Record memory record) = _pending(batch);
        Terms memory t = _terms[record.terms];
        uint256 until = uint256(record.postedAt) + t.window;
        record.status = Status.Unchallenged;
        if (block.timestamp <= until) {
            require(msg.sender == referee, WindowOpen(until));
            record.status = Status.Attested;
        }
        State memory s = state;
        _due(batch, royalties, t);
        records[batchId] = record;
        _pay(batchId, batch, royalties, t, s, record.status, 0);
        state = s;
        accounts[batch.operator].balance += uint96(_bond(t));
    }

    /// @inheritdoc IProofSettlement
    function reclaim(Batch calldata batch, uint256[] calldata royalties) external {
        bytes32 batchId = _idOf(batch);
        Record memory record = records[batchId];
        require(record.status == Status.Rejected && record.sequence != 0, WrongStatus(record.status));
        Terms memory t = _terms[record.terms];
        uint256 amount = _due(batch, royalties, t) + _bond(t);
        state.protocolCredit = (uint256(state.protocolCredit) + amount).toUint96();
        record.sequence = 0;
        records[batchId] = record;
        emit BatchReclaimed(batchId, amount);
    }

    // Proofs of fault

    /// @inheritdoc IProofSettlement
    function challengeReceipt(Batch calldata batch, Leaf calldata leaf, uint128 claimedTotal) external {
        (bytes32 batchId, Record memory record, Terms memory t) = _open(batch);
        bytes32 receiptHash = ReceiptLib.hash(leaf.receipt);
        _requireNode(batchId, batch, SumTree.leaf(receiptHash, leaf.sig.r, leaf.sig.vs), claimedTotal, leaf);
        // a batch of one receipt: nothing but the header counts its leaf
        require(leaf.path.length != 0 || claimedTotal == _totalOf(batch), NotInBatch(batchId));
        bool fault =
            claimedTotal != SumTree.leafTotal(leaf.receipt.fee) ||
                leaf.receipt.servedAt < batch.servedFrom ||
                leaf.receipt.servedAt > batch.servedTo;
        if (!fault) {
            address key = ReceiptLib.recover(ReceiptLib.digest(_domainSeparatorV4(), receiptHash), leaf.sig);
            fault =
                key == address(0) ||
                registry.findOperator(key, leaf.receipt.mode, leaf.receipt.servedAt) != batch.operator;
        }
        // of proofs the referee has judged
        require(fault || msg.sender == referee, NoFault());
        _punish(batchId, batch, record, t, Fault.Receipt, true);
    }

    /// @inheritdoc IProofSettlement
    function challengeDuplicate(
        Batch calldata batch,
        Leaf calldata leaf,
        Batch calldata earlierBatch,
        Leaf calldata earlierLeaf
    ) external {
        (bytes32 batchId, Record memory record, Terms memory t) = _open(batch);
        require(
            leaf.receipt.requestId == earlierLeaf.receipt.requestId && batch.operator == earlierBatch.operator,
            NoFault()
        );
        _requireLeaf(batchId, batch, leaf);
        bytes32 earlierId = _idOf(earlierBatch);
        Record memory earlier = records[earlierId];
        require(_isLive(earlier.status), WrongStatus(earlier.status));
        bool sameBatch = earlierId == batchId;
        // in one batch the two leaves must stand in different places: another path length or another turn
        require(
            sameBatch
                ? leaf.right != earlierLeaf.right || leaf.path.length != earlierLeaf.path.length
                : earlier.sequence < record.sequence,
            NoFault()
        );
        _requireLeaf(earlierId, earlierBatch, earlierLeaf);
        // voters answer for what they could have known, not for a batch posted after they looked
        _punish(batchId, batch, record, t, Fault.Duplicate, sameBatch || earlier.sequence <= batch.seen);
    }

    /// @inheritdoc IProofSettlement
    function challengeNodeTotal(
        Batch calldata batch,
        bytes32 left,
        uint128 leftTotal,
        bytes32 right,
        uint128 rightTotal,
        uint128 claimedTotal,
        bytes calldata path,
        uint256 rightBits
    ) external {
        (bytes32 batchId, Record memory record, Terms memory t) = _open(batch);
        require(uint256(leftTotal) + rightTotal != claimedTotal, NoFault());
        bytes32 node = SumTree.inner(left, leftTotal, right, rightTotal);
        (bytes32 root, uint256 total) = SumTree.climb(node, claimedTotal, path, rightBits);
        require(root == batch.root && (path.length != 0 || total == _totalOf(batch)), NotInBatch(batchId));
        _punish(batchId, batch, record, t, Fault.NodeTotal, true);
    }

    /// @inheritdoc IProofSettlement
    function challengeHeaderTotal(
        Batch calldata batch,
        bytes32 node,
        uint128 nodeTotal,
        bytes calldata path,
        uint256 rightBits
    ) external {
        (bytes32 batchId, Record memory record, Terms memory t) = _open(batch);
        // without a parent that commits to it, a total is only a claim
        require(path.length != 0, NoFault());
        (bytes32 root, uint256 total) = SumTree.climb(node, nodeTotal, path, rightBits);
        require(root == batch.root, NotInBatch(batchId));
        require(total != _totalOf(batch), NoFault());
        _punish(batchId, batch, record, t, Fault.HeaderTotal, true);
    }

    // Pulls

    /// @inheritdoc IProofSettlement
    function claim(address to) external nonReentrant returns (uint256 amount) {
        amount = credits[msg.sender];
        credits[msg.sender] = 0;
        emit Claimed(msg.sender, to, amount);
        if (amount != 0) token.transfer(to, amount);
    }

    /// @inheritdoc IProofSettlement
    function claimSeatCredits(uint256 seat, address to) external nonReentrant returns (uint256 amount) {
        address operator = _seats[seat].operator;
        require(msg.sender == operator, NotSeatOperator(msg.sender, operator));
        amount = _takeSeatCredits(seat);
        emit SeatCreditsClaimed(seat, to, amount);
        if (amount != 0) token.transfer(to, amount);
    }

    /// @inheritdoc IProofSettlement
    function sweepProtocolCredit(address to) external onlyOwner nonReentrant returns (uint256 amount) {
        amount = state.protocolCredit;
        state.protocolCredit = 0;
        emit ProtocolCreditSwept(to, amount);
        token.transfer(to, amount);
    }

    /// @inheritdoc IProofSettlement
    function setTerms(Terms calldata t) external onlyOwner returns (uint256 version) {
        version = ++state.terms;
        _setTerms(version, t, _maxAccountability());
    }

    /// @inheritdoc IProofSettlement
    function setReferee(address referee_) external onlyOwner {
        referee = referee_;
        emit RefereeSet(referee_);
    }

    // Views

    /// @notice What a seat has earned and not claimed, wei of OPG.
    function seatCredits(uint256 seat) external view returns (uint256) {
        return uint256(uint64(_seatCredits[seat >> 2] >> ((seat & 3) * 64))) * GWEI;
    }

    /// @inheritdoc IProofSettlement
    function batchIdOf(Batch calldata batch) external view returns (bytes32) {
        return _idOf(batch);
    }

    /// @inheritdoc IProofSettlement
    function isAttested(Batch calldata batch, Leaf calldata leaf) external view returns (bool) {
        Record memory record = records[_idOf(batch)];
        bytes32 node = SumTree.leaf(ReceiptLib.hash(leaf.receipt), leaf.sig.r, leaf.sig.vs);
        (bytes32 root, uint256 total) = SumTree.climb(node, SumTree.leafTotal(leaf.receipt.fee), leaf.path, leaf.right);
        return root == batch.root && total == _totalOf(batch) && record.status == Status.Attested && !record.punished;
    }

    /// @inheritdoc IProofSettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // Internals

    /// Times are part of the header and checked here, so that a transaction that comes late reverts instead of becoming a fault.
    function _requirePostable(Batch calldata batch, State memory s, Terms memory t) private view {
        require(batch.root != 0 && batch.count != 0, EmptyBatch());
        uint256 earliest = block.timestamp - t.receiptDeadline;
        require(
            batch.servedFrom <= batch.servedTo && batch.servedTo <= block.timestamp && batch.servedFrom >= earliest,
            ServedOutOfRange(batch.servedFrom, batch.servedTo, earliest, block.timestamp)
        );
        require(batch.seen <= s.sequence, SequenceAhead(batch.seen, s.sequence));
    }

    function _requireStake(address operator) private view {
        uint256 available = staking.activeStake(operator, Role.Inference);
        require(available >= minOperatorStake, InsufficientStake(available, minOperatorStake));
    }

    /// Counts votes into `record`; pays, into `s` too, and says so when they make the batch final.
    function _vote(
        bytes32 batchId,
        Batch calldata batch,
        uint256[] calldata royalties,
        Terms memory t,
        State memory s,
        Record memory record,
        address code,
        uint256 seats,
        bytes calldata signatures
    ) private returns (bool) {
        (uint256 count, uint256 table, uint256 totalStake) = VerifierVotes.load(code);
        VerifierVotes.requireVotes(batchId, count, table, seats, signatures);
        seats |= record.approvals;
        record.approvals = uint128(seats);
        emit BatchAttested(batchId, seats);
        uint256 approving = VerifierVotes.stakeBehind(table, seats);
        if (approving * 3 < totalStake * 2) return false;
        record.status = Status.Attested;
        uint256 verifierFee = (uint256(batch.fees) * t.verifierBps) / BPS;
        _pay(batchId, batch, royalties, t, s, Status.Attested, _creditSeats(table, seats, approving, verifierFee));
        return true;
    }

    /// What the operator owes for a batch; checks the royalty list against the header.
    function _due(Batch calldata batch, uint256[] calldata royalties, Terms memory t) private pure returns (uint256) {
        bytes32 actual = keccak256(abi.encodePacked(royalties));
        require(actual == batch.royaltiesHash, RoyaltiesMismatch(batch.royaltiesHash, actual));
        uint256 sum;
        for (uint256 i; i < royalties.length; ++i) sum += uint96(royalties[i]);
        uint256 maximum = (uint256(batch.fees) * t.maxRoyaltyBps) / BPS;
        require(sum <= maximum, RoyaltiesTooHigh(sum, maximum));
        return (uint256(batch.fees) * t.protocolBps) / BPS + (uint256(batch.fees) * t.verifierBps) / BPS + sum;
    }

    /// Credits protocol (into `s`) and owners. What the verifiers did not get of their part goes to the protocol.
    function _pay(
        bytes32 batchId,
        Batch calldata batch,
        uint256[] calldata royalties,
        Terms memory t,
        State memory s,
        Status status,
        uint256 verifierFee
    ) private {
        uint256 protocolFee = (uint256(batch.fees) * t.protocolBps) / BPS;
        protocolFee += (uint256(batch.fees) * t.verifierBps) / BPS - verifierFee;
        s.protocolCredit = (uint256(s.protocolCredit) + protocolFee).toUint96();
        uint256 sum;
        for (uint256 i; i < royalties.length; ++i) {
            (address to, uint256 amount) = (address(uint160(royalties[i] >> 96)), uint96(royalties[i]));
            credits[to] += amount;
            sum += amount;
            emit RoyaltyCredited(to, amount, batchId);
        }
        emit BatchFinalised(batchId, status, protocolFee, verifierFee, sum);
    }

    /// Shares `pot` among the approving seats by stake, in whole gwei.
    /// @return given wei of OPG, at most `pot`.
    function _creditSeats(
        uint256 table,
        uint256 votes,
        uint256 approving,
        uint256 pot
    ) private returns (uint256 given) {
        for (uint256 group; votes != 0; ++group) {
            uint256 add;
            for (uint256 lane; lane < 4; ++lane) {
                if ((votes >> lane) & 1 == 0) continue;
                uint256 share = (pot * VerifierVotes.stakeOf(table, group * 4 + lane)) / approving / GWEI;
                add |= share << (64 * lane);
                given += share;
            }
            votes >>= 4;
            // a lane cannot carry into the next: the whole supply is 1e18 gwei, and 64 bits hold 18 times that
            if (add != 0) _seatCredits[group] += add;
        }
        given *= GWEI;
    }

    function _takeSeatCredits(uint256 seat) private returns (uint256) {
        uint256 word = _seatCredits[seat >> 2];
        uint256 shift = (seat & 3) * 64;
        _seatCredits[seat >> 2] = word & ~(uint256(type(uint64).max) << shift);
        return uint256(uint64(word >> shift)) * GWEI;
    }

    /// What the last operator of a seat earned there stays its own.
    function _settleSeat(uint256 seat, address lastOperator) internal override {
        credits[lastOperator] += _takeSeatCredits(seat);
    }

    /// Slashes the operator and, when they are to answer, the verifiers that approved; once a batch. What a pending batch had
    /// locked waits for `reclaim`.
    function _punish(
        bytes32 batchId,
        Batch calldata batch,
        Record memory record,
        Terms memory t,
        Fault fault,
        bool votersAnswer
    ) private {
        bool wasFinal = record.status != Status.Pending;
        if (!wasFinal) record.status = Status.Rejected;
        record.punished = true;
        records[batchId] = record;

        uint256 votes = votersAnswer ? record.approvals : 0;
        INodeStaking.SlashTarget[] memory targets = new INodeStaking.SlashTarget[](1 + VerifierVotes.countOf(votes));
        targets[0] = INodeStaking.SlashTarget(batch.operator, Role.Inference, uint256(t.submitterSlash) * 1e18);
        if (votes != 0) {
            address code = snapshots[batch.setId].code;
            (uint256 count, uint256 table, ) = VerifierVotes.load(code);
            uint256 next = 1;
            for (uint256 seat; votes != 0; ++seat) {
                if (votes & 1 != 0) {
                    targets[next++] = INodeStaking.SlashTarget(
                        VerifierVotes.operatorOf(code, count, seat),
                        Role.Verifier,
                        (VerifierVotes.stakeOf(table, seat) * t.voterSlashBps) / BPS
                    );
                }
                votes >>= 1;
            }
        }
        uint256 slashed = staking.slash(targets, msg.sender, t.rewardBps);
        emit BatchProvenWrong(batchId, msg.sender, fault, wasFinal, slashed);
    }

    function _pending(Batch calldata batch) private view returns (bytes32 batchId, Record memory record) {
        batchId = _idOf(batch);
        record = records[batchId];
        require(record.status == Status.Pending, WrongStatus(record.status));
    }

    /// A batch that can be proven wrong: live, not punished before, and within the time its stake is sure to be there.
    function _open(Batch calldata batch) private view returns (bytes32 batchId, Record memory record, Terms memory t) {
        batchId = _idOf(batch);
        record = records[batchId];
        require(!record.punished && _isLive(record.status), WrongStatus(record.status));
        t = _terms[record.terms];
        uint256 until = uint256(record.postedAt) + t.accountability;
        require(block.timestamp <= until, AccountabilityEnded(until));
    }

    function _requireLeaf(bytes32 batchId, Batch calldata batch, Leaf calldata leaf) private pure {
        bytes32 node = SumTree.leaf(ReceiptLib.hash(leaf.receipt), leaf.sig.r, leaf.sig.vs);
        _requireNode(batchId, batch, node, SumTree.leafTotal(leaf.receipt.fee), leaf);
    }

    function _requireNode(
        bytes32 batchId,
        Batch calldata batch,
        bytes32 node,
        uint256 total,
        Leaf calldata leaf
    ) private pure {
        (bytes32 root, ) = SumTree.climb(node, total, leaf.path, leaf.right);
        require(root == batch.root, NotInBatch(batchId));
    }

    /// Stake answers for a batch from the oldest set it may name until its accountability ends.
    function _maxAccountability() private view returns (uint256) {
        uint256 unbonding = staking.unbonding();
        uint256 taken = VerifierVotes.MAX_SET_AGE + UNBONDING_MARGIN;
        require(unbonding > taken, UnbondingTooShort(unbonding, taken));
        return unbonding - taken;
    }

    function _idOf(Batch calldata batch) private view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(BATCH_TYPEHASH, batch)));
    }

    function _bond(Terms memory t) private pure returns (uint256) {
        return uint256(t.bond) * 1e18;
    }

    function _totalOf(Batch calldata batch) private pure returns (uint256) {
        return (uint256(batch.fees) << 32) | batch.count;
    }

    function _isLive(Status status) private pure returns (bool) {
        return status == Status.Pending || status == Status.Attested || status == Status.Unchallenged;
    }
}
