// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {CodeData} from "../nodes/CodeData.sol";
import {INodeStaking, Role} from "../staking/INodeStaking.sol";
import {IVerifierSnapshots} from "./IVerifierSnapshots.sol";
import {VerifierVotes} from "./VerifierVotes.sol";

/// @title Verifier seats, and snapshots of them
/// @notice Bonded verifiers take seats. A snapshot fixes seats and stakes, and judges the batches that name it for as long as
/// they live: later changes of stake or seats do not touch a vote.
/// @dev A snapshot is contract code, so that reading it costs one account access and 3 gas a word, whatever its size:
/// 0x00 | total stake 32 | n × (signer 20 | stake 12) | n × operator 20. Seat numbers are stable, and a set of votes is a
/// bitmap, so that nothing counts twice; a seat without enough stake is zero in the snapshot.
abstract contract VerifierSets is IVerifierSnapshots, EIP712 {
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
    uint256 internal constant SNAPSHOT_INTERVAL = 10 minutes;
    /// Longer than any batch can still pay the seat's last operator: set age, grace and the longest challenge window.
    uint256 internal constant SEAT_COOLDOWN = 9 days;

    INodeStaking public immutable staking;
    /// @notice Least active stake of a seat, wei of OPG.
    uint256 public immutable minSeatStake;
    /// @notice Least number of staked seats in a snapshot.
    uint256 public immutable minSeats;

    Seat[] internal _seats;
    mapping(address operator => uint256 seatPlusOne) private _seatOf;
    mapping(address signer => bool) private _signerUsed;
    /// @inheritdoc IVerifierSnapshots
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
        (count, table, totalStake) = VerifierVotes.load(snapshots[setId].code);
        signers = new address[](count);
        stakes = new uint256[](count);
        for (uint256 seat; seat < count; ++seat) {
            (signers[seat], stakes[seat]) = (VerifierVotes.signerOf(table, seat), VerifierVotes.stakeOf(table, seat));
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
        return VerifierVotes.usableCode(setId, s.code, s.takenAt, s.supersededAt);
    }

    function _useSigner(uint256 seat, address signer, bytes calldata consent) private {
        require(!_signerUsed[signer], SeatSignerTaken(signer));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(SEAT_CONSENT_TYPEHASH, seat, msg.sender)));
        (address signed, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, consent);
        require(err == ECDSA.RecoverError.NoError && signed == signer, SeatConsentMissing(signer));
        _signerUsed[signer] = true;
    }
}
