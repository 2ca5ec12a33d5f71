// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, IProofSettlement, Leaf} from "../../contracts/settlement/IProofSettlement.sol";
import {SumTree} from "../../contracts/settlement/SumTree.sol";
import {SettlementFixture} from "./support/SettlementFixture.sol";
import {bound} from "./Vm.sol";

/// @notice What must hold for any stakes, votes, fees and challenges.
contract ProofSettlementTest is SettlementFixture {
    uint256 private constant RECEIPTS = 7;
    uint256 private constant GWEI = 1e9;

    bytes32[][] private hashes;
    uint128[][] private totals;
    Batch private honest;

    /// A quorum is 2/3 of the stake, whoever holds it; voters share their part by stake; every wei is somebody's.
    function testFuzz_submitBatch_anyStakesAndVotes_followTheStake(
        uint88[SEATS] memory stakes,
        uint256 votes,
        uint96 fee
    ) external {
        fee = uint96(bound(fee, 0, 1_000_000_000e18));
        votes = bound(votes, 1, (1 << SEATS) - 1);
        _seat(stakes);
        Batch memory batch = _postOne(fee, votes);
        bytes32 batchId = settlement.batchIdOf(batch);

        uint256 approving;
        uint256 all;
        for (uint256 i; i < SEATS; ++i) {
            all += stakes[i];
            if ((votes >> i) & 1 == 1) approving += stakes[i];
        }
        (, , , , IProofSettlement.Status status, ) = settlement.records(batchId);
        bool quorum = approving * 3 >= all * 2;
        requireTrue("quorum", status == (quorum ? IProofSettlement.Status.Attested : IProofSettlement.Status.Pending));

        uint256 pot = (uint256(fee) * 150) / 10_000;
        uint256 paid;
        for (uint256 i; i < SEATS; ++i) {
            bool earns = quorum && (votes >> i) & 1 == 1;
            uint256 share = earns ? (pot * stakes[i]) / approving / GWEI : 0;
            requireEqual("share", settlement.seatCredits(i), share * GWEI);
            paid += share * GWEI;
        }
        (uint96 protocolCredit, , , , ) = settlement.state();
        uint256 due = pot + (uint256(fee) * 100) / 10_000;
        requireEqual("protocol", protocolCredit, quorum ? due - paid : 0);
        (, uint96 balance) = settlement.accounts(address(this));
        uint256 locked = quorum ? 0 : due + 500e18;
        require(
            opg.balanceOf(address(settlement)) == uint256(balance) + protocolCredit + paid + locked,
            "conservation"
        );
    }

    /// Whatever a challenger makes of an honest batch's leaves, nodes and paths: no proof of fault comes out.
    function testFuzz_challenges_honestBatch_neverSucceed(
        uint256 choice,
        uint256 index,
        uint256 other,
        uint256 level,
        uint128 total,
        uint256 flips
    ) external {
        _postHonest();
        choice %= 4;
        index %= RECEIPTS;
        // half of the time only one thing is wrong, so that what is right gets far
        other = flips & 1 == 0 ? index : other % RECEIPTS;
        level = choice < 2 && (flips >> 1) & 3 != 0 ? 0 : level % hashes.length;
        (bytes memory path, uint256 right) = _path(level, other % hashes[level].length);
        path = _mangle(path, flips >> 3);
        if ((flips >> 16) & 3 == 0) right ^= 1 << ((flips >> 18) & 7);
        if ((flips >> 32) & 3 != 0) total = totals[level][other % hashes[level].length];

        bytes memory call;
        Leaf memory leaf = Leaf(receipts[index], signatures[index], path, right);
        if (choice == 0) {
            call = abi.encodeCall(settlement.challengeReceipt, (honest, leaf, total));
        } else if (choice == 1) {
            (bytes memory ownPath, uint256 ownRight) = _path(0, other);
            Leaf memory second = Leaf(receipts[other], signatures[other], ownPath, ownRight);
            call = abi.encodeCall(settlement.challengeDuplicate, (honest, leaf, honest, second));
        } else if (choice == 2) {
            uint256 below = level == 0 ? 0 : level - 1;
            uint256 left = (2 * (other % hashes[level].length)) % hashes[below].length;
            uint256 sibling = (left + 1) % hashes[below].length;
            call = abi.encodeCall(
                settlement.challengeNodeTotal,
                (
                    honest,
                    hashes[below][left],
                    totals[below][left],
                    hashes[below][sibling],
                    totals[below][sibling] ^ uint128((flips >> 48) & 1),
                    total,
                    path,
                    right
                )
            );
        } else {
            bytes32 node = hashes[level][other % hashes[level].length];
            call = abi.encodeCall(settlement.challengeHeaderTotal, (honest, node, total, path, right));
        }
        (bool proven, ) = address(settlement).call(call);
        requireTrue("an honest batch stands", !proven);
    }

    /// Any change to any receipt of an honest batch takes it out of the batch.
    function testFuzz_isAttested_changedReceipt_isNot(uint256 index, uint256 word, uint256 bit) external {
        _postHonest();
        index %= RECEIPTS;
        (bytes memory path, uint256 right) = _path(0, index);
        bytes memory call = abi.encodeCall(
            settlement.isAttested,
            (honest, Leaf(receipts[index], signatures[index], path, right))
        );
        (bool ok, bytes memory answer) = address(settlement).staticcall(call);
        requireTrue("an honest receipt is attested", ok && abi.decode(answer, (bool)));
        // selector 4 | header 10 words | offset of the leaf 1 | leaf: receipt 8 words, signature 2, …
        uint256 position = 4 + 32 * (10 + 1 + (word % 10)) + ((bit >> 3) % 32);
        call[position] = call[position] ^ bytes1(uint8(1 << (bit & 7)));
        (ok, answer) = address(settlement).staticcall(call);
        requireTrue("a changed receipt is not", !ok || !abi.decode(answer, (bool)));
    }

    function _postOne(uint96 fee, uint256 votes) private returns (Batch memory batch) {
        _receipt(0, fee);
        batch = _header(_leafOf(0), fee, 1, keccak256(""));
        settlement.submitBatch(batch, new uint256[](0), votes, _votes(settlement.batchIdOf(batch), votes));
    }

    function _postHonest() private {
        _seat([uint88(1), 1, 1, 1, 1, 1]);
        uint96 fees;
        for (uint256 i; i < RECEIPTS; ++i) {
            uint96 fee = uint96(1e15 * (i + 1));
            fees += fee;
            _receipt(i, fee);
        }
        _grow();
        honest = _header(hashes[hashes.length - 1][0], fees, uint32(RECEIPTS), keccak256(""));
        uint256 all = (1 << SEATS) - 1;
        settlement.submitBatch(honest, new uint256[](0), all, _votes(settlement.batchIdOf(honest), all));
    }

    function _grow() private {
        hashes.push();
        totals.push();
        for (uint256 i; i < RECEIPTS; ++i) {
            hashes[0].push(_leafOf(i));
            totals[0].push(SumTree.leafTotal(receipts[i].fee));
        }
        for (uint256 level = 1; hashes[level - 1].length > 1; ++level) {
            hashes.push();
            totals.push();
            uint256 below = hashes[level - 1].length;
            for (uint256 i; i < below; i += 2) {
                (bytes32 hash, uint128 total) = (hashes[level - 1][i], totals[level - 1][i]);
                if (i + 1 < below) {
                    hash = SumTree.inner(hash, total, hashes[level - 1][i + 1], totals[level - 1][i + 1]);
                    total += totals[level - 1][i + 1];
                }
                hashes[level].push(hash);
                totals[level].push(total);
            }
        }
    }

    function _path(uint256 level, uint256 index) private view returns (bytes memory path, uint256 right) {
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

    /// Leaves a path as it is, flips a bit of it, cuts its last level off, or repeats it.
    function _mangle(bytes memory path, uint256 flips) private pure returns (bytes memory) {
        uint256 kind = flips & 7;
        if (kind == 0 || kind > 3 || path.length == 0) return path;
        if (kind == 1) {
            uint256 position = (flips >> 64) % path.length;
            path[position] = path[position] ^ bytes1(uint8(1 << ((flips >> 8) & 7)));
            return path;
        }
        if (kind == 2) return bytes.concat(path, path);
        // shortening in place frees nothing and touches nothing else
        assembly ("memory-safe") {
            mstore(path, sub(mload(path), 48))
        }
        return path;
    }
}
