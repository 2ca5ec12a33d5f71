// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Role} from "../../../contracts/staking/INodeStaking.sol";
import {Terms} from "../../../contracts/settlement/FeeSchedule.sol";
import {Batch} from "../../../contracts/settlement/IProofSettlement.sol";
import {NodeRegistry} from "../../../contracts/nodes/NodeRegistry.sol";
import {NodeStaking} from "../../../contracts/staking/NodeStaking.sol";
import {OPG} from "../../../contracts/token/OPG.sol";
import {ProofSettlement} from "../../../contracts/settlement/ProofSettlement.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../../../contracts/receipts/ReceiptLib.sol";
import {SumTree} from "../../../contracts/settlement/SumTree.sol";
import {bound, deploy, vm} from "../Vm.sol";
import {SolidityTest} from "./SolidityTest.sol";

/// @notice A settlement whose owner, operator and submitter is the test contract, and receipts of its node.
abstract contract SettlementFixture is SolidityTest {
    uint256 internal constant SEATS = 6;
    uint256 internal constant NODE_KEY = 0xA11CE;
    uint256 private constant SEAT_OPERATOR = 1_000;
    uint256 private constant SEAT_KEY = 2_000;
    uint256 private constant START = 1_800_000_000;

    OPG internal opg;
    NodeStaking internal staking;
    NodeRegistry internal registry;
    ProofSettlement internal settlement;

    Receipt[] internal receipts;
    CompactSignature[] internal signatures;

    function setUp() public virtual {
        vm.warp(START);
        opg = new OPG(address(this));
        staking = new NodeStaking(opg, address(this), 7 days);
        registry = NodeRegistry(deploy("NodeRegistry.sol", abi.encode(staking, address(this))));
        settlement = ProofSettlement(
            deploy(
                "ProofSettlement.sol",
                abi.encode(
                    _settlementToken(),
                    staking,
                    registry,
                    address(this),
                    ProofSettlement.Minimums(1_000e18, 1_000e18, 1),
                    Terms(100, 150, 2_000, 2_000, 1_000, 4 hours, 2 days, 1 days, 500, 1_000)
                )
            )
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

    /// The token the settlement takes for OPG; bonds are always the real one.
    function _settlementToken() internal virtual returns (OPG) {
        return opg;
    }

    /// Seats six verifiers with about the given stakes, written back, and takes their snapshot.
    function _seat(uint88[SEATS] memory stakes) internal {
        for (uint256 i; i < SEATS; ++i) {
            stakes[i] = uint88(bound(stakes[i], 1_000e18, 100_000_000e18));
            address operator = vm.addr(SEAT_OPERATOR + i);
            opg.transfer(operator, stakes[i]);
            vm.prank(operator);
            opg.approve(address(staking), type(uint256).max);
            vm.prank(operator);
            staking.stake(Role.Verifier, stakes[i]);
            bytes32 consent = keccak256(
                abi.encode(keccak256("SeatConsent(uint256 seat,address operator)"), i, operator)
            );
            bytes memory signature = _sign65(SEAT_KEY + i, ReceiptLib.digest(settlement.domainSeparator(), consent));
            vm.prank(operator);
            settlement.takeSeat(i, vm.addr(SEAT_KEY + i), signature);
        }
        settlement.snapshot();
    }

    /// Signatures of the seats in the bitmap `votes`, lowest first.
    function _votes(bytes32 digest, uint256 votes) internal pure returns (bytes memory packed) {
        for (uint256 i; i < SEATS; ++i) {
            if ((votes >> i) & 1 == 0) continue;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(SEAT_KEY + i, digest);
            packed = bytes.concat(packed, r, _compact(v, s));
        }
    }

    function _header(
        bytes32 root,
        uint96 fees,
        uint32 count,
        bytes32 royaltiesHash
    ) internal view returns (Batch memory) {
        uint64 time = uint64(block.timestamp - 60);
        return Batch(root, keccak256("blob"), address(this), count, 1, fees, time, time, 0, royaltiesHash);
    }

    function _receipt(uint256 i, uint96 fee) internal {
        bytes32 word = keccak256(abi.encode("receipt", i));
        receipts.push(Receipt(word, word, 0, word, word, address(this), fee, uint64(block.timestamp - 60)));
        bytes32 digest = ReceiptLib.digest(settlement.domainSeparator(), ReceiptLib.hash(receipts[i]));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(NODE_KEY, digest);
        signatures.push(CompactSignature(r, _compact(v, s)));
    }

    function _leafOf(uint256 i) internal view returns (bytes32) {
        return SumTree.leaf(ReceiptLib.hash(receipts[i]), signatures[i].r, signatures[i].vs);
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
