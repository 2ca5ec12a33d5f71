// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SumTree} from "../../contracts/settlement/SumTree.sol";
import {bound, vm} from "./Vm.sol";

/// @notice `SumTree.climb` in assembly against the same in plain Solidity.
contract SumTreeTest {
    uint256 private constant MAX_LEAVES = 20;

    /// @dev External, because `climb` reads its path from calldata.
    function climb(
        bytes32 node,
        uint256 total,
        bytes calldata path,
        uint256 right
    ) external pure returns (bytes32 root, uint256 rootTotal) {
        uint256 free;
        uint256 freeAfter;
        uint256 zero;
        assembly ("memory-safe") {
            free := mload(0x40)
        }
        (root, rootTotal) = SumTree.climb(node, total, path, right);
        assembly ("memory-safe") {
            freeAfter := mload(0x40)
            zero := mload(0x60)
        }
        require(freeAfter == free && zero == 0, "memory the compiler relies on was changed");
    }

    function testFuzz_climb_anyPath_isThePlainClimb(
        bytes32 node,
        uint128 total,
        bytes32[8] memory siblings,
        uint120[8] memory totals,
        uint256 levels,
        uint256 right
    ) external view {
        levels = bound(levels, 0, 8);
        right = bound(right, 0, (1 << levels) - 1);
        total /= 2;
        bytes memory path;
        bytes32 hash = node;
        uint128 sum = total;
        for (uint256 i; i < levels; ++i) {
            path = abi.encodePacked(path, siblings[i], uint128(totals[i]));
            hash =
                (right >> i) & 1 == 1
                    ? _inner(siblings[i], totals[i], hash, sum)
                    : _inner(hash, sum, siblings[i], totals[i]);
            sum += totals[i];
        }
        (bytes32 root, uint256 rootTotal) = this.climb(node, total, path, right);
        require(root == hash && rootTotal == sum, "another root");
    }

    function testFuzz_climb_everyNodeOfATree_leadsToItsRoot(uint256 seed, uint256 count) external view {
        count = bound(count, 1, MAX_LEAVES);
        (bytes32[][] memory hashes, uint128[][] memory totals) = _tree(seed, count);
        bytes32 root = hashes[hashes.length - 1][0];
        uint128 rootTotal = totals[totals.length - 1][0];
        for (uint256 level; level < hashes.length; ++level) {
            for (uint256 i; i < hashes[level].length; ++i) {
                (bytes memory path, uint256 right) = _path(hashes, totals, level, i);
                (bytes32 hash, uint256 total) = this.climb(hashes[level][i], totals[level][i], path, right);
                require(hash == root && total == rootTotal, "a node that is not in its tree");
            }
        }
        require(uint32(rootTotal) == count, "another count");
    }

    function testFuzz_climb_bitsBeyondThePath_revert(bytes32 node, uint256 levels, uint256 right) external {
        levels = bound(levels, 0, 12);
        vm.assume(right >> levels != 0);
        vm.expectRevert(abi.encodeWithSelector(SumTree.InvalidPathBits.selector, right));
        this.climb(node, 1, new bytes(48 * levels), right);
    }

    function testFuzz_climb_pathOfBrokenLevels_reverts(bytes32 node, uint256 length) external {
        length = bound(length, 1, 600);
        vm.assume(length % 48 != 0);
        vm.expectRevert(abi.encodeWithSelector(SumTree.InvalidPathLength.selector, length));
        this.climb(node, 1, new bytes(length), 0);
    }

    function testFuzz_climb_sumBeyond128Bits_reverts(
        bytes32 node,
        uint128 total,
        uint128 sibling,
        bool isRight
    ) external {
        vm.assume(uint256(total) + sibling > type(uint128).max);
        vm.expectRevert(abi.encodeWithSelector(SumTree.TotalOverflow.selector));
        this.climb(node, total, abi.encodePacked(node, sibling), isRight ? 1 : 0);
    }

    function testFuzz_climb_sumOf128Bits_isExact(bytes32 node, uint128 total, uint128 sibling) external view {
        vm.assume(uint256(total) + sibling <= type(uint128).max);
        (bytes32 root, uint256 sum) = this.climb(node, total, abi.encodePacked(node, sibling), 0);
        require(root == _inner(node, total, node, sibling) && sum == total + sibling, "another root");
    }

    function testFuzz_inner_isThePlainHash(bytes32 left, uint128 a, bytes32 right, uint128 b) external pure {
        require(SumTree.inner(left, a, right, b) == _inner(left, a, right, b), "another hash");
    }

    function testFuzz_leaf_isNeverAnInnerNode(bytes32 hash, bytes32 r, bytes32 vs) external pure {
        bytes32 leaf = SumTree.leaf(hash, r, vs);
        require(leaf == keccak256(bytes.concat(hex"00", hash, r, vs)), "another hash");
        // the same 96 bytes under the other tag
        require(leaf != SumTree.inner(hash, uint128(uint256(vs) >> 128), r, uint128(uint256(vs))), "one hash for both");
    }

    function testFuzz_leafTotal_isTheFeeAndOne(uint96 fee) external pure {
        uint128 total = SumTree.leafTotal(fee);
        require(total >> 32 == fee && uint32(total) == 1, "another total");
    }

    function _inner(bytes32 left, uint128 a, bytes32 right, uint128 b) private pure returns (bytes32) {
        return keccak256(bytes.concat(hex"01", left, right, bytes16(a), bytes16(b)));
    }

    function _tree(
        uint256 seed,
        uint256 count
    ) private pure returns (bytes32[][] memory hashes, uint128[][] memory totals) {
        uint256 depth = 1;
        for (uint256 n = count; n > 1; n = (n + 1) / 2) ++depth;
        hashes = new bytes32[][](depth);
        totals = new uint128[][](depth);
        for (uint256 level; level < depth; ++level) {
            uint256 length = level == 0 ? count : (hashes[level - 1].length + 1) / 2;
            hashes[level] = new bytes32[](length);
            totals[level] = new uint128[](length);
            for (uint256 i; i < length; ++i) {
                if (level == 0) {
                    hashes[0][i] = keccak256(abi.encode(seed, i));
                    totals[0][i] = SumTree.leafTotal(uint80(uint256(hashes[0][i])));
                    continue;
                }
                (bytes32[] memory below, uint128[] memory sums) = (hashes[level - 1], totals[level - 1]);
                bool paired = 2 * i + 1 < below.length;
                hashes[level][i] =
                    paired ? _inner(below[2 * i], sums[2 * i], below[2 * i + 1], sums[2 * i + 1]) : below[2 * i];
                totals[level][i] = paired ? sums[2 * i] + sums[2 * i + 1] : sums[2 * i];
            }
        }
    }

    function _path(
        bytes32[][] memory hashes,
        uint128[][] memory totals,
        uint256 level,
        uint256 index
    ) private pure returns (bytes memory path, uint256 right) {
        uint256 recorded;
        for (; level + 1 < hashes.length; ++level) {
            uint256 sibling = index ^ 1;
            if (sibling < hashes[level].length) {
                path = bytes.concat(path, hashes[level][sibling], bytes16(totals[level][sibling]));
                right |= (index & 1) << recorded++;
            }
            index >>= 1;
        }
    }
}
