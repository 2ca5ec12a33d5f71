// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {CodeData} from "../nodes/CodeData.sol";
import {INodeStaking, Role} from "../staking/INodeStaking.sol";

/// @title Verifier seats, and snapshots of them
/// @notice Bonded verifiers take seats. A snapshot fixes seats and stakes, and judges the batches that name it for as long as
/// they live: later changes of stake or seats do not touch a vote.
/// @dev A snapshot is contract code, so that reading it costs one account access and 3 gas a word, whatever its size:
/// 0x00 | total stake 32 | n × (signer 20 | stake 12) | n × operator 20. Seat numbers are stable, and a set of votes is a
/// bitmap, so that nothing counts twice; a seat without enough stake is zero in the snapshot.
abstract contract VerifierSets is EIP712 {
    /// @dev slot 0: operator 160 | vacatedAt 48; slot 1: signer 160
    struct Seat {
        /// who sits there, or sat there last
        address operator;
        /// unix seconds; zero while taken
        uint48 vacatedAt;
        /// address whose signature is the seat's vote
        address signer;
    }

    /// @dev slot: code 160 | takenAt 48 | supersededAt 48 (zero while current)
    struct Snapshot {
        address code;
        uint48 takenAt;
        uint48 supersededAt;
    }

    bytes32 private constant SEAT_CONSENT_TYPEHASH = keccak256("SeatConsent(uint256 seat,address operator)");
    /// Checking one signature costs about 4,500 gas; past this number an aggregate signature would be cheaper.
    uint256 internal constant MAX_SEATS = 40;
    /// A new batch may name a set this old, and a superseded one a little longer: votes may be on their way.
    uint256 internal constant MAX_SET_AGE = 1 days;
    uint256 internal constant SUPERSEDED_GRACE = 1 hours;
    uint256 internal constant SNAPSHOT_INTERVAL = 10 minutes;
    /// Longer than any batch can still pay the seat's last operator: set age, grace and the longest challenge window.
    uint256 internal constant SEAT_COOLDOWN = 9 days;
    uint256 private constant SIGNATURE_BYTES = 64;

    INodeStaking public immutable staking;
    /// @notice Least active stake of a seat, wei of OPG.
    uint256 public immutable minSeatStake;
    /// @notice Least number of staked seats in a snapshot.
    uint256 public immutable minSeats;

    Seat[] internal _seats;
    mapping(address operator => uint256 seatPlusOne) private _seatOf;
    mapping(address signer => bool) private _signerUsed;
    mapping(uint256 setId => Snapshot) public snapshots;

    event SeatTaken(uint256 indexed seat, address indexed operator, address signer);
    event SeatSignerChanged(uint256 indexed seat, address signer);
    event SeatVacated(uint256 indexed seat, address indexed operator);
    event VerifierSetSnapshotted(uint256 indexed setId, address code, uint256 seats, uint256 totalStake);

    error SeatNotFree(uint256 seat);
    error SeatNotHeld(address caller);
    error SeatStillStaked(uint256 seat);
    error AlreadySeated(address operator, uint256 seat);
    error SeatStakeTooLow(uint256 available, uint256 required);
    error SeatSignerTaken(address signer);
    error SeatConsentMissing(address signer);
    error TooFewSeats(uint256 staked, uint256 required);
    error SetNotUsable(uint256 setId);
    error InvalidVote(uint256 seat);
    error InvalidVotesLength(uint256 expected, uint256 actual);

    constructor(INodeStaking staking_, uint256 minSeatStake_, uint256 minSeats_) {
        // with no minimum a vacated seat would pass for one that is staked with nothing
        require(minSeatStake_ != 0, SeatStakeTooLow(0, 1));
        (staking, minSeatStake, minSeats) = (staking_, minSeatStake_, minSeats_);
    }

    /// @notice Takes a free seat for the caller, who must be bonded as a verifier.
    /// @param seat the next number, or one that was vacated nine days ago or earlier.
    /// @param signer the key that will vote; one key sits once, ever.
    /// @param consent its EIP-712 signature over `SeatConsent(uint256 seat,address operator)` in this contract's domain.
    function takeSeat(uint256 seat, address signer, bytes calldata consent) external {
        uint256 held = _seatOf[msg.sender];
        // not `require`, which evaluates its error's operands even when it holds
        if (held != 0) revert AlreadySeated(msg.sender, held - 1);
        uint256 available = staking.activeStake(msg.sender, Role.Verifier);
        require(available >= minSeatStake, SeatStakeTooLow(available, minSeatStake));
        if (seat == _seats.length && seat < MAX_SEATS) {
            _seats.push();
        } else {
            require(
                seat < _seats.length &&
                    _seats[seat].vacatedAt != 0 &&
                    block.timestamp >= _seats[seat].vacatedAt + SEAT_COOLDOWN,
                SeatNotFree(seat)
            );
            _settleSeat(seat, _seats[seat].operator);
        }
        _useSigner(seat, signer, consent);
        _seatOf[msg.sender] = seat + 1;
        _seats[seat] = Seat(msg.sender, 0, signer);
        emit SeatTaken(seat, msg.sender, signer);
    }

    /// @notice Changes the key of the caller's seat. Sets taken before keep the old one.
    function changeSeatSigner(address signer, bytes calldata consent) external {
        uint256 held = _seatOf[msg.sender];
        require(held != 0, SeatNotHeld(msg.sender));
        _useSigner(held - 1, signer, consent);
        _seats[held - 1].signer = signer;
        emit SeatSignerChanged(held - 1, signer);
    }

    /// @notice Leaves a seat: its operator, or anyone when the operator's active stake is below the minimum.
    function vacateSeat(uint256 seat) external {
        Seat storage s = _seats[seat];
        require(s.vacatedAt == 0, SeatNotHeld(msg.sender));
        require(
            msg.sender == s.operator || staking.activeStake(s.operator, Role.Verifier) < minSeatStake,
            SeatStillStaked(seat)
        );
        s.vacatedAt = uint48(block.timestamp);
        delete _seatOf[s.operator];
        emit SeatVacated(seat, s.operator);
    }

    /// @notice All seats ever taken, by number.
    function seats() external view returns (Seat[] memory) {
        return _seats;
    }

    /// @notice A verifier set as it was snapshotted; empty seats are zero.
    /// @return signers one a seat.
    /// @return stakes wei of OPG, one a seat.
    function verifierSet(
        uint256 setId
    ) external view returns (address[] memory signers, uint256[] memory stakes, uint256 totalStake) {
        uint256 table;
        uint256 count;
        (count, table, totalStake) = _load(snapshots[setId].code);
        signers = new address[](count);
        stakes = new uint256[](count);
        for (uint256 seat; seat < count; ++seat) {
            (signers[seat], stakes[seat]) = (_signerOf(table, seat), _stakeOf(table, seat));
        }
    }

    /// @dev Called before a vacated seat gets its next operator.
    function _settleSeat(uint256 seat, address lastOperator) internal virtual;

    function _snapshot(uint256 setId) internal {
        uint256 count = _seats.length;
        bytes memory body = new bytes(32 + count * 52);
        uint256 totalStake;
        uint256 staked;
        for (uint256 seat; seat < count; ++seat) {
            Seat memory s = _seats[seat];
            uint256 stake = s.vacatedAt == 0 ? staking.activeStake(s.operator, Role.Verifier) : 0;
            if (stake < minSeatStake) continue;
            ++staked;
            totalStake += stake;
            // `body` is length 32 | total 32 | words 32·n | operators 20·n. A pool's two sides are 88 bits each, so stakes fit 96.
            // Storing an operator also clears 12 bytes past it: the next operator's, not written yet; for the last one padding, and
            // the beginning of the first seat's copy, which was allocated next: it is done with, and an address there begins with zeros.
            assembly ("memory-safe") {
                mstore(add(add(body, 64), shl(5, seat)), or(shl(96, mload(add(s, 64))), stake))
                mstore(add(add(add(body, 64), shl(5, count)), mul(20, seat)), shl(96, mload(s)))
            }
        }
        require(staked >= minSeats && staked != 0, TooFewSeats(staked, minSeats));
        assembly ("memory-safe") {
            mstore(add(body, 32), totalStake)
        }
        address code = CodeData.write(body);
        Snapshot storage previous = snapshots[setId - 1];
        if (previous.code != address(0)) previous.supersededAt = uint48(block.timestamp);
        snapshots[setId] = Snapshot(code, uint48(block.timestamp), 0);
        emit VerifierSetSnapshotted(setId, code, count, totalStake);
    }

    /// The code of a set that a new batch may name.
    function _usableSet(uint256 setId) internal view returns (address) {
        Snapshot memory s = snapshots[setId];
        require(
            s.code != address(0) &&
                block.timestamp <= s.takenAt + MAX_SET_AGE &&
                (s.supersededAt == 0 || block.timestamp <= s.supersededAt + SUPERSEDED_GRACE),
            SetNotUsable(setId)
        );
        return s.code;
    }

    /// @return count number of seats.
    /// @return table memory address of the (signer | stake) words.
    /// @return totalStake wei of OPG.
    function _load(address code) internal view returns (uint256 count, uint256 table, uint256 totalStake) {
        uint256 size = code.code.length;
        require(size != 0, SetNotUsable(0));
        count = (size - 33) / 52;
        assembly ("memory-safe") {
            let free := mload(0x40)
            extcodecopy(code, free, 1, add(32, shl(5, count)))
            totalStake := mload(free)
            table := add(free, 32)
            mstore(0x40, add(table, shl(5, count)))
        }
    }

    function _operatorOf(address code, uint256 count, uint256 seat) internal view returns (address operator) {
        // writes the scratch word at 0, whose upper 20 bytes are then the operator
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(code, 0, add(add(33, shl(5, count)), mul(20, seat)), 20)
            operator := shr(96, mload(0))
        }
    }

    function _stakeOf(uint256 table, uint256 seat) internal pure returns (uint256 stake) {
        assembly ("memory-safe") {
            stake := and(mload(add(table, shl(5, seat))), 0xffffffffffffffffffffffff)
        }
    }

    function _signerOf(uint256 table, uint256 seat) internal pure returns (address signer) {
        assembly ("memory-safe") {
            signer := shr(96, mload(add(table, shl(5, seat))))
        }
    }

    /// Checks a signature for each bit of `votes`, lowest seat first.
    function _requireVotes(
        bytes32 digest,
        uint256 count,
        uint256 table,
        uint256 votes,
        bytes calldata signatures
    ) internal view {
        require(votes >> count == 0, InvalidVote(count));
        uint256 used;
        for (uint256 seat; votes != 0; ++seat) {
            if (votes & 1 != 0) {
                require(
                    used + SIGNATURE_BYTES <= signatures.length,
                    InvalidVotesLength(used + SIGNATURE_BYTES, signatures.length)
                );
                address signer = _signerOf(table, seat);
                bool valid;
                // ecrecover's input lies past the free memory pointer and is not kept; its output goes to scratch, which a failed
                // recovery leaves zero, and an empty seat's signer (zero) is refused. A signature's malleable twin is harmless: a
                // seat is a bit, whatever the signature that sets it.
                assembly ("memory-safe") {
                    let free := mload(0x40)
                    let offset := add(signatures.offset, used)
                    let vs := calldataload(add(offset, 32))
                    mstore(free, digest)
                    mstore(add(free, 32), add(27, shr(255, vs)))
                    mstore(add(free, 64), calldataload(offset))
                    mstore(add(free, 96), shr(1, shl(1, vs)))
                    mstore(0, 0)
                    pop(staticcall(gas(), 1, free, 128, 0, 32))
                    valid := and(iszero(iszero(signer)), eq(mload(0), signer))
                }
                require(valid, InvalidVote(seat));
                used += SIGNATURE_BYTES;
            }
            votes >>= 1;
        }
        require(used == signatures.length, InvalidVotesLength(used, signatures.length));
    }

    /// Stake behind a bitmap of votes.
    function _stakeBehind(uint256 table, uint256 votes) internal pure returns (uint256 sum) {
        for (uint256 seat; votes != 0; ++seat) {
            if (votes & 1 != 0) sum += _stakeOf(table, seat);
            votes >>= 1;
        }
    }

    function _useSigner(uint256 seat, address signer, bytes calldata consent) private {
        require(!_signerUsed[signer], SeatSignerTaken(signer));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(SEAT_CONSENT_TYPEHASH, seat, msg.sender)));
        (address signed, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, consent);
        require(err == ECDSA.RecoverError.NoError && signed == signer, SeatConsentMissing(signer));
        _signerUsed[signer] = true;
    }
}
