// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Merkle tree whose nodes also carry sums
/// @notice Every node commits to the fees and the number of the receipts below it: `total = fees << 32 | count`. So a header
/// that claims a wrong amount can be proven wrong with one path.
/// @dev Leaf: keccak256(0x00 ‖ receipt hash ‖ r ‖ vs). Inner node: keccak256(0x01 ‖ left ‖ right ‖ left total ‖ right total), totals
/// of 16 bytes. A node without a sibling moves up as it is; nothing is duplicated. A path holds 48 bytes a level, from the
/// leaf up: the sibling's hash and its total. The proof of a receipt of mode ZKML, keccak256(0x02 ‖ proof ‖ words), is its leaf's right
/// sibling and counts for nothing: see `IZkReferee`.
library SumTree {
    uint256 private constant LEVEL_BYTES = 48;

    error InvalidPathLength(uint256 length);
    /// `right` has a bit beyond the path's last level, which would give one position two names.
    error InvalidPathBits(uint256 right);
    error TotalOverflow();

    function leaf(bytes32 receiptHash, bytes32 r, bytes32 vs) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(0), receiptHash, r, vs));
    }

    function inner(bytes32 left, uint128 leftTotal, bytes32 right, uint128 rightTotal) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(1), left, right, leftTotal, rightTotal));
    }

    /// @notice Total of a leaf: its fee, and one receipt.
    function leafTotal(uint96 fee) internal pure returns (uint128) {
        return (uint128(fee) << 32) | 1;
    }

    /// @notice Root of the tree over all its lowest nodes, at least one. Overwrites both arrays.
    function rootOf(bytes32[] memory hashes, uint256[] memory totals) internal pure returns (bytes32, uint256) {
        uint256 width = hashes.length;
        while (width > 1) {
            uint256 above;
            for (uint256 i; i < width; i += 2) {
                if (i + 1 < width) {
                    require((totals[i] + totals[i + 1]) >> 128 == 0, TotalOverflow());
                    hashes[above] = inner(hashes[i], uint128(totals[i]), hashes[i + 1], uint128(totals[i + 1]));
                    totals[above++] = totals[i] + totals[i + 1];
                } else {
                    (hashes[above], totals[above]) = (hashes[i], totals[i]);
                    ++above;
                }
            }
            width = above;
        }
        return (hashes[0], totals[0]);
    }

    /// @notice Climbs from a node to the root.
    /// @param right bit i set: the node is the right child at level i of the path.
    /// @return the root's hash and total.
    function climb(
        bytes32 node,
        uint256 total,
        bytes calldata path,
        uint256 right
    ) internal pure returns (bytes32, uint256) {
        require(path.length % LEVEL_BYTES == 0, InvalidPathLength(path.length));
        uint256 levels = path.length / LEVEL_BYTES;
        require(levels < 256 && right >> levels == 0, InvalidPathBits(right));
        bool overflow;
        // The 97-byte preimage (tag | left | right | left total | right total) lies at the free memory pointer, which stays where it
        // is: nothing is kept there. Sums are made in 256 bits and must fit 128, so they cannot wrap into a valid total.
        assembly ("memory-safe") {
            let preimage := mload(0x40)
            mstore8(preimage, 1)
            for {
                let i := 0
            } lt(i, levels) {
                i := add(i, 1)
            } {
                let level := add(path.offset, mul(i, 48))
                let sibling := calldataload(level)
                let siblingTotal := shr(128, calldataload(add(level, 32)))
                switch and(shr(i, right), 1)
                case 0 {
                    mstore(add(preimage, 1), node)
                    mstore(add(preimage, 33), sibling)
                    mstore(add(preimage, 65), or(shl(128, total), siblingTotal))
                }
                default {
                    mstore(add(preimage, 1), sibling)
                    mstore(add(preimage, 33), node)
                    mstore(add(preimage, 65), or(shl(128, siblingTotal), total))
                }
                node := keccak256(preimage, 97)
                total := add(total, siblingTotal)
                if shr(128, total) {
                    overflow := 1
                    break
                }
            }
        }
        require(!overflow, TotalOverflow());
        return (node, total);
    }
}
