// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Votes of a verifier set
/// @notice Reads the snapshots that `VerifierSets` keeps as contract code, and checks signatures against them.
/// @dev A snapshot is 0x00 | total stake 32 | n × (signer 20 | stake 12) | n × operator 20. Votes are a bitmap of seats.
library VerifierVotes {
    /// A vote may be on a set this old, and on a superseded one a little longer: votes may be on their way.
    uint256 internal constant MAX_SET_AGE = 1 days;
    uint256 internal constant SUPERSEDED_GRACE = 1 hours;
    uint256 private constant SIGNATURE_BYTES = 64;

    error SetNotUsable(uint256 setId);
    error InvalidVote(uint256 seat);
    error InvalidVotesLength(uint256 expected, uint256 actual);

    /// @notice The code of a snapshot, if what is new may be voted on by its set.
    function usableCode(
        uint256 setId,
        address code,
        uint256 takenAt,
        uint256 supersededAt
    ) internal view returns (address) {
        require(
            code != address(0) &&
                block.timestamp <= takenAt + MAX_SET_AGE &&
                (supersededAt == 0 || block.timestamp <= supersededAt + SUPERSEDED_GRACE),
            SetNotUsable(setId)
        );
        return code;
    }

    /// @return count number of seats.
    /// @return table memory address of the (signer | stake) words.
    /// @return totalStake wei of OPG.
    function load(address code) internal view returns (uint256 count, uint256 table, uint256 totalStake) {
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

    function operatorOf(address code, uint256 count, uint256 seat) internal view returns (address operator) {
        // writes the scratch word at 0, whose upper 20 bytes are then the operator
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(code, 0, add(add(33, shl(5, count)), mul(20, seat)), 20)
            operator := shr(96, mload(0))
        }
    }

    function stakeOf(uint256 table, uint256 seat) internal pure returns (uint256 stake) {
        assembly ("memory-safe") {
            stake := and(mload(add(table, shl(5, seat))), 0xffffffffffffffffffffffff)
        }
    }

    function signerOf(uint256 table, uint256 seat) internal pure returns (address signer) {
        assembly ("memory-safe") {
            signer := shr(96, mload(add(table, shl(5, seat))))
        }
    }

    /// @notice Checks a signature for each bit of `votes`, lowest seat first.
    function requireVotes(
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
                address signer = signerOf(table, seat);
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

    /// @notice Number of votes in a bitmap.
    function countOf(uint256 votes) internal pure returns (uint256 number) {
        for (; votes != 0; votes &= votes - 1) ++number;
    }

    /// @notice Stake behind a bitmap of votes.
    function stakeBehind(uint256 table, uint256 votes) internal pure returns (uint256 sum) {
        for (uint256 seat; votes != 0; ++seat) {
            if (votes & 1 != 0) sum += stakeOf(table, seat);
            votes >>= 1;
        }
    }
}
