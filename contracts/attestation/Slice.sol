// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev A run of bytes in memory: address of its first byte << 128 | address one past its last. Every slice comes from a whole
/// `bytes` or is cut out of another slice, so none reaches beyond the memory it was made from.
type Slice is uint256;

using Slices for Slice global;

/// @title Bounded reading of memory
/// @notice The only place where the parsers touch addresses.
library Slices {
    /// Fewer bytes are left than the encoding says.
    error OutOfBounds(uint256 needed, uint256 available);
    /// The encoding ends before its container does.
    error TrailingBytes(uint256 count);

    function whole(bytes memory data) internal pure returns (Slice slice) {
        // reads the array's length only
        assembly ("memory-safe") {
            let start := add(data, 32)
            slice := or(shl(128, start), add(start, mload(data)))
        }
    }

    function length(Slice slice) internal pure returns (uint256) {
        // start <= end by construction
        unchecked {
            return uint128(Slice.unwrap(slice)) - (Slice.unwrap(slice) >> 128);
        }
    }

    function isEmpty(Slice slice) internal pure returns (bool) {
        return length(slice) == 0;
    }

    function requireEmpty(Slice slice) internal pure {
        require(isEmpty(slice), TrailingBytes(length(slice)));
    }

    /// @notice The first `count` bytes, big-endian; `count` is 1 to 32.
    function peek(Slice slice, uint256 count) internal pure returns (uint256 value) {
        require(count <= length(slice), OutOfBounds(count, length(slice)));
        // reads a word that begins inside the slice, and drops what is beyond `count`
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, count)), mload(shr(128, slice)))
        }
    }

    /// @notice The first `count` bytes and the others.
    function split(Slice slice, uint256 count) internal pure returns (Slice head, Slice tail) {
        require(count <= length(slice), OutOfBounds(count, length(slice)));
        // count is at most the length, so the cut lies between start and end
        unchecked {
            uint256 start = Slice.unwrap(slice) >> 128;
            uint256 cut = start + count;
            head = Slice.wrap((start << 128) | cut);
            tail = Slice.wrap((cut << 128) | uint128(Slice.unwrap(slice)));
        }
    }

    /// @notice All but the first `count` bytes.
    function skip(Slice slice, uint256 count) internal pure returns (Slice tail) {
        (, tail) = split(slice, count);
    }

    /// @notice What was read of a slice when `tail` is left of it.
    function upTo(Slice slice, Slice tail) internal pure returns (Slice) {
        return Slice.wrap(((Slice.unwrap(slice) >> 128) << 128) | (Slice.unwrap(tail) >> 128));
    }

    function hash(Slice slice) internal pure returns (bytes32 digest) {
        uint256 size = length(slice);
        // reads the slice's bytes only
        assembly ("memory-safe") {
            digest := keccak256(shr(128, slice), size)
        }
    }

    function toBytes(Slice slice) internal pure returns (bytes memory copy) {
        uint256 size = length(slice);
        copy = new bytes(size);
        // writes `size` bytes into an array of that size
        assembly ("memory-safe") {
            mcopy(add(copy, 32), shr(128, slice), size)
        }
    }
}
