// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CompactSignature, Receipt} from "../receipts/ReceiptLib.sol";
import {Terms} from "./FeeSchedule.sol";

/// @notice Header of a batch. Its EIP-712 digest in the settlement's domain is the batch's id and what verifiers sign.
struct Batch {
    /// root of the sum tree over the signed receipts
    bytes32 root;
    /// Walrus id of the blob with the receipts
    bytes32 blobId;
    /// whose receipts these are, all of them
    address operator;
    /// number of receipts
    uint32 count;
    /// verifier set that judges the batch
    uint32 setId;
    /// sum of the receipts' fees, wei of OPG
    uint96 fees;
    /// every receipt was served in [servedFrom, servedTo], unix seconds
    uint64 servedFrom;
    uint64 servedTo;
    /// sequence number of the last batch that the voters had searched for duplicates
    uint40 seen;
    /// keccak256 of the packed royalty words (owner 160 | amount 96)
    bytes32 royaltiesHash;
}

/// @notice A receipt with its signature and its place in a batch's tree. See `SumTree` for path and right.
struct Leaf {
    Receipt receipt;
    CompactSignature sig;
    bytes path;
    uint256 right;
}

/// @title Settlement of inference receipts
/// @notice An operator posts its receipts in batches. With the votes of verifiers that hold 2/3 of the stake of a verifier set
/// a batch is final at once; without, it waits for votes or for the end of the challenge window, with a bond. Whoever proves a
/// batch wrong, final or not, gets part of the stake of the operator and of the verifiers that approved it.
/// @dev Fees are paid where clients pay; what a batch declares is charged to the operator's prepaid account here: protocol and
/// verifier parts by the terms, royalties by the list. Credits are pulled.
interface IProofSettlement {
    /// @dev `Attested` had a quorum. `Unchallenged` is weaker: nobody voted and nobody objected, and a blob that is withheld
    /// cannot be objected to. Only attested batches prove their receipts to other contracts.
    enum Status {
        None,
        Pending,
        Attested,
        Unchallenged,
        Rejected
    }

    /// @notice What a batch was proven wrong in.
    enum Fault {
        Receipt,
        Duplicate,
        NodeTotal,
        HeaderTotal
    }

    /// @dev slot: approvals 128 | postedAt 40 | sequence 40 | terms 16 | status 8 | punished 8
    struct Record {
        /// bit per seat of the batch's verifier set
        uint128 approvals;
        uint40 postedAt;
        /// position among all batches ever posted; zero again once a rejected batch has been reclaimed
        uint40 sequence;
        uint16 terms;
        Status status;
        bool punished;
    }

    /// @dev slot: the hot key that may post, and the prepaid balance in wei of OPG: one read for right and money
    struct Account {
        address submitter;
        uint96 balance;
    }

    /// @dev slot: protocolCredit 96 | sequence 40 | setId 32 | terms 16 | lastSnapshot 48; every batch writes it once
    struct State {
        uint96 protocolCredit;
        uint40 sequence;
        uint32 setId;
        uint16 terms;
        uint48 lastSnapshot;
    }

    event RefereeSet(address indexed referee);
    event SubmitterSet(address indexed operator, address indexed submitter);
    event Deposited(address indexed operator, address indexed from, uint256 amount);
    event Withdrawn(address indexed operator, uint256 amount);
    event BatchSubmitted(bytes32 indexed batchId, address indexed operator, Batch batch, uint256 sequence);
    event BatchAttested(bytes32 indexed batchId, uint256 approvals);
    event BatchFinalised(
        bytes32 indexed batchId,
        Status status,
        uint256 protocolFee,
        uint256 verifierFee,
        uint256 royalties
    );
    event RoyaltyCredited(address indexed owner, uint256 amount, bytes32 indexed batchId);
    event BatchProvenWrong(
        bytes32 indexed batchId,
        address indexed challenger,
        Fault fault,
        bool wasFinal,
        uint256 slashed
    );
    event BatchReclaimed(bytes32 indexed batchId, uint256 amount);
    event Claimed(address indexed owner, address indexed to, uint256 amount);
    event SeatCreditsClaimed(uint256 indexed seat, address indexed to, uint256 amount);
    event ProtocolCreditSwept(address indexed to, uint256 amount);

    error NotSubmitter(address caller, address submitter);
    error EmptyBatch();
    error AlreadyPosted(bytes32 batchId);
    error ServedOutOfRange(uint256 servedFrom, uint256 servedTo, uint256 earliest, uint256 latest);
    error SequenceAhead(uint256 seen, uint256 sequence);
    error InsufficientBalance(uint256 available, uint256 required);
    error InsufficientStake(uint256 available, uint256 required);
    error RoyaltiesMismatch(bytes32 expected, bytes32 actual);
    error RoyaltiesTooHigh(uint256 sum, uint256 maximum);
    error WrongStatus(Status actual);
    error WindowOpen(uint256 until);
    error WindowClosed(uint256 until);
    error AccountabilityEnded(uint256 until);
    error NotInBatch(bytes32 batchId);
    error NoFault();
    error UnbondingTooShort(uint256 unbonding, uint256 required);
    error NotSeatOperator(address caller, address operator);

    /// @notice Names the hot key that may post the caller's batches; zero stops posting.
    function setSubmitter(address submitter) external;

    /// @notice Adds to an operator's prepaid balance. Needs an allowance.
    /// @param amount wei of OPG.
    function deposit(address operator, uint256 amount) external;

    /// @notice Takes back prepaid balance of the caller that no batch holds.
    function withdraw(uint256 amount) external;

    /// @notice Fixes the verifier set as it is staked now. Anyone, at most every ten minutes.
    function snapshot() external returns (uint256 setId);

    /// @notice Posts a batch. With approvals of 2/3 of the set's stake it is final; with fewer it is pending and its bond locked.
    /// @param royalties packed words (owner 160 | amount 96); their hash is in the header.
    /// @param seats bitmap of the seats whose signatures follow.
    /// @param signatures 64 bytes (r ‖ vs) over the batch id for each bit, lowest seat first.
    /// @return batchId EIP-712 digest of the header.
    function submitBatch(
        Batch calldata batch,
        uint256[] calldata royalties,
        uint256 seats,
        bytes calldata signatures
    ) external returns (bytes32 batchId);

    /// @notice Adds votes to a pending batch within its window; final when they reach the quorum. Anyone.
    function attest(
        Batch calldata batch,
        uint256[] calldata royalties,
        uint256 seats,
        bytes calldata signatures
    ) external;

    /// @notice Ends a pending batch that nobody proved wrong within the window. The verifiers' part goes to the protocol.
    /// @dev The referee, which has then checked a proof of every receipt, may end it within the window, as attested.
    function finalise(Batch calldata batch, uint256[] calldata royalties) external;

    /// @notice Moves what a rejected batch had locked (bond, parts, royalties) to the protocol. Anyone.
    function reclaim(Batch calldata batch, uint256[] calldata royalties) external;

    /// @notice Proves a receipt wrong: nobody's signature, not by a key of the batch's operator that was valid for the receipt's
    /// mode when it was served, served outside the batch's times, or counted with another fee than its own.
    /// @dev The referee needs no such fault: it has judged the receipt by a zk proof.
    /// @param claimedTotal what the leaf's parent, or the header, counts for it (`fee << 32 | 1` when that is right).
    function challengeReceipt(Batch calldata batch, Leaf calldata leaf, uint128 claimedTotal) external;

    /// @notice Proves that a request settles twice: in two batches of one operator, or twice in one batch. The later is at fault.
    function challengeDuplicate(
        Batch calldata batch,
        Leaf calldata leaf,
        Batch calldata earlierBatch,
        Leaf calldata earlierLeaf
    ) external;

    /// @notice Proves that an inner node's parent, or with an empty path the header, counts another total than the node's two
    /// children have.
    function challengeNodeTotal(
        Batch calldata batch,
        bytes32 left,
        uint128 leftTotal,
        bytes32 right,
        uint128 rightTotal,
        uint128 claimedTotal,
        bytes calldata path,
        uint256 rightBits
    ) external;

    /// @notice Proves that the tree has another total than the header.
    function challengeHeaderTotal(
        Batch calldata batch,
        bytes32 node,
        uint128 nodeTotal,
        bytes calldata path,
        uint256 rightBits
    ) external;

    /// @notice Pays the caller's royalties out.
    function claim(address to) external returns (uint256 amount);

    /// @notice Pays a seat's fees out. Its operator only.
    function claimSeatCredits(uint256 seat, address to) external returns (uint256 amount);

    /// @notice Pays the protocol's part out. Owner only.
    function sweepProtocolCredit(address to) external returns (uint256 amount);

    /// @notice Sets the terms of batches to come. Owner only.
    function setTerms(Terms calldata t) external returns (uint256 version);

    /// @notice Names the contract that judges zk proofs; zero for none. Owner only.
    function setReferee(address referee) external;

    /// @notice EIP-712 digest of a header in this contract's domain.
    function batchIdOf(Batch calldata batch) external view returns (bytes32);

    /// @notice Whether a receipt is in a batch that verifiers attested and nobody proved wrong.
    function isAttested(Batch calldata batch, Leaf calldata leaf) external view returns (bool);

    /// @notice Domain of receipts, batches and seat consents.
    function domainSeparator() external view returns (bytes32);
}
