// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bn254} from "./Bn254.sol";

/// @title The sum that a model's commitment has to be
/// @dev Entries are int32, big-endian; points x ‖ y. A model vector is, layer by layer, its weights and biases, then a flag for each
/// hidden layer. The circuit's bounds on sums hold for entries in range only.
library CommitmentSum {
    uint256 internal constant CHUNK = 128;
    uint256 private constant ENTRY_BYTES = 4;
    uint256 private constant POINT_BYTES = 64;
    uint256 private constant MAX_WEIGHT = 2 ** 15 - 1;
    uint256 private constant MAX_BIAS = 2 ** 29 - 1;

    /// @notice Length of the model vector of a network with these widths.
    function lengthOf(uint256[] memory dims) internal pure returns (uint256 length) {
        for (uint256 layer = 1; layer < dims.length; ++layer) length += dims[layer] * (dims[layer - 1] + 1);
        length += dims.length - 2;
    }

    /// @notice (x, y) + Σ entry · point, for entries of the vector from number `from` on.
    /// @return outOfRange whether one of them is none that a model of these widths may have.
    function add(
        uint256 x,
        uint256 y,
        uint256[] memory dims,
        uint256 from,
        bytes calldata weights,
        bytes calldata bases
    ) internal view returns (uint256, uint256, bool outOfRange) {
        uint256 count = weights.length / ENTRY_BYTES;
        uint256 end;
        uint256 max;
        bool signed;
        for (uint256 i; i < count; ++i) {
            if (from + i >= end) (end, max, signed) = _segment(dims, from + i);
            int256 entry;
            uint256 bx;
            uint256 by;
            // within both arrays: the caller has checked their lengths against each other
            assembly ("memory-safe") {
                entry := signextend(3, shr(224, calldataload(add(weights.offset, mul(i, ENTRY_BYTES)))))
                let point := add(bases.offset, mul(i, POINT_BYTES))
                bx := calldataload(point)
                by := calldataload(add(point, 32))
            }
            if (entry == 0) continue;
            bool negative = entry < 0;
            // an int32 has a magnitude in int256
            uint256 magnitude = uint256(negative ? -entry : entry);
            if (magnitude > max || (negative && !signed)) outOfRange = true;
            (x, y) = Bn254.addMul(x, y, bx, by, negative ? Bn254.R - magnitude : magnitude);
        }
        return (x, y, outOfRange);
    }

    /// @notice Goes on with a hash chain over chunks of 128 elements of `elementBytes`.
    function hashOn(bytes32 hash, bytes calldata elements, uint256 elementBytes) internal pure returns (bytes32) {
        uint256 chunkBytes = CHUNK * elementBytes;
        for (uint256 start; start < elements.length; start += chunkBytes) {
            uint256 length = elements.length - start < chunkBytes ? elements.length - start : chunkBytes;
            // past the free memory pointer, to be hashed only
            assembly ("memory-safe") {
                let free := mload(0x40)
                mstore(free, hash)
                calldatacopy(add(free, 32), add(elements.offset, start), length)
                hash := keccak256(free, add(length, 32))
            }
        }
        return hash;
    }

    /// What entry number `index` is: where entries of its kind end, and what they may be.
    function _segment(
        uint256[] memory dims,
        uint256 index
    ) private pure returns (uint256 end, uint256 max, bool signed) {
        for (uint256 layer = 1; layer < dims.length; ++layer) {
            end += dims[layer] * dims[layer - 1];
            if (index < end) return (end, MAX_WEIGHT, true);
            end += dims[layer];
            if (index < end) return (end, MAX_BIAS, true);
        }
        return (type(uint256).max, 1, false);
    }
}
