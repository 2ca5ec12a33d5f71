// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Request} from "../../../contracts/escrow/IInferenceEscrow.sol";
import {InferenceEscrow} from "../../../contracts/escrow/InferenceEscrow.sol";
import {IModelRegistry} from "../../../contracts/models/IModelRegistry.sol";
import {ZkTerms} from "../../../contracts/models/IZkVersions.sol";
import {ModelRegistry} from "../../../contracts/models/ModelRegistry.sol";
import {NodeRegistry} from "../../../contracts/nodes/NodeRegistry.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../../../contracts/receipts/ReceiptLib.sol";
import {IVerifierSnapshots} from "../../../contracts/settlement/IVerifierSnapshots.sol";
import {NodeStaking} from "../../../contracts/staking/NodeStaking.sol";
import {Role} from "../../../contracts/staking/INodeStaking.sol";
import {OPG} from "../../../contracts/token/OPG.sol";
import {ZkmlVerifier} from "../../../contracts/zkml/ZkmlVerifier.sol";
import {SolidityTest} from "./SolidityTest.sol";
import {deploy, vm} from "../Vm.sol";

/// @notice An escrow with one node and one model.
abstract contract EscrowFixture is SolidityTest {
    bytes32 internal constant DOMAIN = keccak256("the settlement's domain");
    bytes32 private constant CONSENT_TYPEHASH = keccak256(
        "SignerConsent(bytes32 nodeId,address operator,uint40 validUntil)"
    );
    bytes32 private constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    uint256 internal constant KEY = uint256(keccak256("signer key"));
    address internal constant OPERATOR = address(0xA1);
    address internal constant MODEL_OWNER = address(0xB1);

    OPG internal opg;
    NodeRegistry internal nodes;
    ModelRegistry internal models;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        opg = new OPG(address(this));
        NodeStaking staking = new NodeStaking(opg, address(this), 7 days);
        nodes = NodeRegistry(deploy("NodeRegistry.sol", abi.encode(staking, address(this))));
        ZkTerms memory zk = ZkTerms(1e18, 1 days, 1 days, 2_000, 1_000);
        models = ModelRegistry(
            deploy("ModelRegistry.sol", abi.encode(opg, staking, IVerifierSnapshots(address(0)), address(this), zk))
        );
        _registerNode(OPERATOR);
        vm.prank(MODEL_OWNER);
        models.createRepository("model", "MIT", "");
    }

    function _registerNode(address operator) internal {
        vm.prank(operator);
        bytes32 nodeId = nodes.register(Role.Inference, operator, "https://node.example");
        bytes32 separator = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("OpenGradient"), keccak256("1"), block.chainid, address(nodes))
        );
        bytes32 consent = keccak256(abi.encode(CONSENT_TYPEHASH, nodeId, operator, type(uint40).max));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, ReceiptLib.digest(separator, consent));
        vm.prank(operator);
        nodes.addSigner(nodeId, vm.addr(KEY), type(uint40).max, abi.encodePacked(r, s, v));
    }

    function _newEscrow(uint16 protocolBps) internal returns (InferenceEscrow) {
        return new InferenceEscrow(opg, nodes, models, new ZkmlVerifier(models), DOMAIN, address(this), protocolBps);
    }

    function _publish(uint16 royaltyBps) internal returns (bytes32) {
        vm.prank(MODEL_OWNER);
        return models.publishVersion(1, IModelRegistry.VersionTerms(keccak256("content"), 0, 0, royaltyBps, 1));
    }

    function _request(address payer, bytes32 modelId, uint96 maxFee) internal view returns (Request memory) {
        (address royaltyTo, uint16 royaltyBps, , ) = models.termsOf(modelId);
        return
            Request({
                payer: payer,
                operator: OPERATOR,
                modelId: modelId,
                inputHash: keccak256("input"),
                inputBlobId: 0,
                maxFee: maxFee,
                deadline: uint48(vm.getBlockTimestamp() + 1 hours),
                mode: 0,
                royaltyTo: royaltyTo,
                royaltyBps: royaltyBps,
                salt: 0
            });
    }

    /// @notice Answers a request now.
    function _fulfil(InferenceEscrow escrow, Request memory request, uint96 fee) internal {
        uint64 servedAt = uint64(vm.getBlockTimestamp());
        bytes32 outputHash = keccak256("output");
        Receipt memory receipt = Receipt({
            requestId: escrow.requestIdOf(request),
            modelId: request.modelId,
            mode: request.mode,
            inputHash: request.inputHash,
            outputHash: outputHash,
            payer: request.payer,
            fee: fee,
            servedAt: servedAt
        });
        escrow.fulfil(
            request,
            outputHash,
            0,
            fee,
            servedAt,
            _sign(ReceiptLib.digest(DOMAIN, ReceiptLib.hash(receipt)))
        );
    }

    function _sign(bytes32 digest) private pure returns (CompactSignature memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        return CompactSignature(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
    }
}
