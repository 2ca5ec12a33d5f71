// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Role} from "../../contracts/staking/INodeStaking.sol";
import {Terms} from "../../contracts/settlement/FeeSchedule.sol";
import {Batch, IProofSettlement, Leaf} from "../../contracts/settlement/IProofSettlement.sol";
import {NodeRegistry} from "../../contracts/nodes/NodeRegistry.sol";
import {NodeStaking} from "../../contracts/staking/NodeStaking.sol";
import {OPG} from "../../contracts/token/OPG.sol";
import {ProofSettlement} from "../../contracts/settlement/ProofSettlement.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../../contracts/settlement/ReceiptLib.sol";
import {SumTree} from "../../contracts/settlement/SumTree.sol";
import {bound, vm} from "./Vm.sol";

/// @notice What must hold for any stakes, votes, fees and challenges. The test contract is owner, operator and submitter.
contract ProofSettlementTest {
    uint256 private constant SEATS = 6;
    uint256 private constant RECEIPTS = 7;
    uint256 private constant NODE_KEY = 0xA11CE;
    uint256 private constant GWEI = 1e9;
    uint256 private constant START = 1_800_000_000;

    OPG private opg;
    NodeStaking private staking;
    NodeRegistry private registry;
    ProofSettlement private settlement;

    Receipt[] private receipts;
    CompactSignature[] private signatures;
    bytes32[][] private hashes;
    uint128[][] private totals;
    Batch private honest;

    function setUp() public {
        vm.warp(START);
        opg = new OPG(address(this));
        staking = new NodeStaking(opg, address(this), 7 days);
        registry = new NodeRegistry(staking, address(this));
        settlement = new ProofSettlement(
            opg,
            staking,
            registry,
            address(this),
            ProofSettlement.Minimums(1_000e18, 1_000e18, 1),
            Terms(100, 150, 2_000, 2_000, 1_000, 4 hours, 2 days, 1 days, 500, 1_000)
        );
        staking.setSlasher(address(settlement), true);
        opg.approve(address(staking), type(uint256).max);
        opg.approve(address(settlement), type(uint256).max);
        staking.stake(Role.Inference, 10_000e18);
        bytes32 nodeId = registry.register(Role.Inference, address(this), "http://127.0.0.1");
        registry.addSigner(nodeId, vm.addr(NODE_KEY), type(uint40).max, _signerConsent(nodeId));
        settlement.setSubmitter(address(this));
        settlement.deposit(address(this), 200_000_000e18);
        vm.warp(START + 1 hours);
    }

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
        require(status == (quorum ? IProofSettlement.Status.Attested : IProofSettlement.Status.Pending), "quorum");

        uint256 pot = (uint256(fee) * 150) / 10_000;
        uint256 paid;
        for (uint256 i; i < SEATS; ++i) {
            bool earns = quorum && (votes >> i) & 1 == 1;
            uint256 share = earns ? (pot * stakes[i]) / approving / GWEI : 0;
            require(settlement.seatCredits(i) == share * GWEI, "share");
            paid += share * GWEI;
        }
        (uint96 protocolCredit, , , , ) = settlement.state();
        uint256 due = pot + (uint256(fee) * 100) / 10_000;
        require(protocolCredit == (quorum ? due - paid : 0), "dust");
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
        require(!proven, "an honest batch was proven wrong");
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
        require(ok && abi.decode(answer, (bool)), "an honest receipt");
        // selector 4 | header 10 words | offset of the leaf 1 | leaf: receipt 8 words, signature 2, …
        uint256 position = 4 + 32 * (10 + 1 + (word % 10)) + ((bit >> 3) % 32);
        call[position] = call[position] ^ bytes1(uint8(1 << (bit & 7)));
        (ok, answer) = address(settlement).staticcall(call);
        require(!ok || !abi.decode(answer, (bool)), "a changed receipt");
    }

    function _seat(uint88[SEATS] memory stakes) private {
        for (uint256 i; i < SEATS; ++i) {
            stakes[i] = uint88(bound(stakes[i], 1_000e18, 100_000_000e18));
            address operator = vm.addr(1_000 + i);
            opg.transfer(operator, stakes[i]);
            vm.prank(operator);
            opg.approve(address(staking), type(uint256).max);
            vm.prank(operator);
            staking.stake(Role.Verifier, stakes[i]);
            bytes32 consent = keccak256(
                abi.encode(keccak256("SeatConsent(uint256 seat,address operator)"), i, operator)
            );
            bytes memory signature = _sign65(2_000 + i, ReceiptLib.digest(settlement.domainSeparator(), consent));
            vm.prank(operator);
            settlement.takeSeat(i, vm.addr(2_000 + i), signature);
        }
        settlement.snapshot();
    }

    function _postOne(uint96 fee, uint256 votes) private returns (Batch memory batch) {
        _receipt(0, fee);
        batch = _header(_leafOf(0), fee, 1);
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
        honest = _header(hashes[hashes.length - 1][0], fees, uint32(RECEIPTS));
        uint256 all = (1 << SEATS) - 1;
        settlement.submitBatch(honest, new uint256[](0), all, _votes(settlement.batchIdOf(honest), all));
    }

    function _header(bytes32 root, uint96 fees, uint32 count) private view returns (Batch memory) {
        uint64 time = uint64(block.timestamp - 60);
        return Batch(root, keccak256("blob"), address(this), count, 1, fees, time, time, 0, keccak256(""));
    }

    function _receipt(uint256 i, uint96 fee) private {
        bytes32 word = keccak256(abi.encode("receipt", i));
        receipts.push(Receipt(word, word, 0, word, word, address(this), fee, uint64(block.timestamp - 60)));
        bytes32 digest = ReceiptLib.digest(settlement.domainSeparator(), ReceiptLib.hash(receipts[i]));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(NODE_KEY, digest);
        signatures.push(CompactSignature(r, _compact(v, s)));
    }

    function _leafOf(uint256 i) private view returns (bytes32) {
        return SumTree.leaf(ReceiptLib.hash(receipts[i]), signatures[i].r, signatures[i].vs);
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

    function _votes(bytes32 digest, uint256 votes) private pure returns (bytes memory packed) {
        for (uint256 i; i < SEATS; ++i) {
            if ((votes >> i) & 1 == 0) continue;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(2_000 + i, digest);
            packed = bytes.concat(packed, r, _compact(v, s));
        }
    }

    function _signerConsent(bytes32 nodeId) private view returns (bytes memory) {
        bytes32 typehash = keccak256("SignerConsent(bytes32 nodeId,address operator,uint40 validUntil)");
        bytes32 consent = keccak256(abi.encode(typehash, nodeId, address(this), type(uint40).max));
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("OpenGradient"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
        return _sign65(NODE_KEY, ReceiptLib.digest(domain, consent));
    }

    function _sign65(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _compact(uint8 v, bytes32 s) private pure returns (bytes32) {
        return s | bytes32(uint256(v - 27) << 255);
    }
}
