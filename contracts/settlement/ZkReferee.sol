// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "../models/IModelRegistry.sol";
import {ZkCommitment} from "../models/IZkVersions.sol";
import {INodeRegistry} from "../nodes/INodeRegistry.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../receipts/ReceiptLib.sol";
import {INodeStaking} from "../staking/INodeStaking.sol";
import {Groth16Proof} from "../zkml/IShapeVerifier.sol";
import {IZkmlVerifier, ProvenAnswer} from "../zkml/IZkmlVerifier.sol";
import {Batch, Leaf} from "./IProofSettlement.sol";
import {IZkReferee, ProvenReceipt} from "./IZkReferee.sol";
import {ProofSettlement} from "./ProofSettlement.sol";
import {SumTree} from "./SumTree.sol";

/// @title Judge of zk proofs in settlement
/// @notice See `IZkReferee`. Nobody owns this contract, and it holds nothing between transactions.
contract ZkReferee is IZkReferee {
    uint8 private constant MODE_ZKML = 1;
    uint256 private constant BPS = 10_000;
    uint256 private constant PROOF_BYTES = 256;
    /// What a path's level holds: the sibling's hash (32) and total (16).
    uint256 private constant LEVEL_BYTES = 48;

    ProofSettlement public immutable settlement;
    INodeStaking public immutable staking;
    INodeRegistry public immutable nodes;
    IZkmlVerifier public immutable verifier;
    IModelRegistry public immutable models;

    constructor(ProofSettlement settlement_, IZkmlVerifier verifier_) {
        (settlement, verifier) = (settlement_, verifier_);
        (staking, nodes) = (settlement_.staking(), settlement_.registry());
        models = IModelRegistry(address(verifier_.registry()));
    }

    /// @inheritdoc IZkReferee
    function challengeMissingProof(Batch calldata batch, Leaf calldata leaf) external {
        require(leaf.receipt.mode == MODE_ZKML, NotZkml(leaf.receipt.mode));
        require(!_commitsToProof(leaf), NoFault());
        _condemn(batch, leaf, Fault.ProofMissing);
    }

    /// @inheritdoc IZkReferee
    function challengeProof(Batch calldata batch, Leaf calldata leaf, bytes calldata committed) external {
        require(leaf.receipt.mode == MODE_ZKML, NotZkml(leaf.receipt.mode));
        require(_commitsToProof(leaf), ProofNotCommitted());
        bytes32 sibling = bytes32(leaf.path[:32]);
        require(keccak256(committed) == sibling, ProofNotShown(sibling, keccak256(committed)));
        require(!_proves(leaf.receipt, committed), NoFault());
        _condemn(batch, leaf, Fault.ProofInvalid);
    }

    /// @inheritdoc IZkReferee
    function refute(
        Batch calldata batch,
        Leaf calldata leaf,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external {
        Receipt calldata r = leaf.receipt;
        require(
            keccak256(abi.encodePacked(inWords)) == r.inputHash &&
                keccak256(abi.encodePacked(outWords)) != r.outputHash,
            NoFault()
        );
        require(
            verifier.verify(r.modelId, r.requestId, msg.sender, inWords, outWords, proof),
            InvalidProof(r.requestId)
        );
        _condemn(batch, leaf, Fault.OutputRefuted);
    }

    /// @inheritdoc IZkReferee
    function settleProven(
        Batch calldata batch,
        uint256[] calldata royalties,
        ProvenReceipt[] calldata receipts
    ) external {
        bytes32 batchId = settlement.batchIdOf(batch);
        bytes32 domain = settlement.domainSeparator();
        _requireTree(batchId, batch, receipts);
        ProvenAnswer[] memory answers = new ProvenAnswer[](receipts.length);
        for (uint256 i; i < receipts.length; ++i) {
            ProvenReceipt calldata item = receipts[i];
            Receipt calldata r = item.receipt;
            _requireServed(domain, batch, item);
            for (uint256 j; j < i; ++j) {
                require(answers[j].requestId != r.requestId, DuplicateRequest(r.requestId));
            }
            answers[i] = ProvenAnswer(r.modelId, r.requestId, r.payer, item.inWords, item.outWords, item.proof);
        }
        _requireTerms(royalties, receipts);
        require(verifier.verifyBatchFor(address(settlement), answers), InvalidProof(0));
        emit BatchProven(batchId, receipts.length);
        settlement.finalise(batch, royalties);
    }

    /// The settlement checks that the leaf is in the batch; its reward is the challenger's.
    function _condemn(Batch calldata batch, Leaf calldata leaf, Fault fault) private {
        settlement.challengeReceipt(batch, leaf, SumTree.leafTotal(leaf.receipt.fee));
        uint256 reward = staking.claim(msg.sender);
        emit ReceiptRefuted(settlement.batchIdOf(batch), leaf.receipt.requestId, msg.sender, fault, reward);
    }

    /// Whether committed bytes are a proof of the receipt. Reverts for a model that cannot be used: it may have been usable then.
    function _proves(Receipt calldata r, bytes calldata committed) private view returns (bool) {
        ZkCommitment memory model = verifier.registry().zkCommitment(r.modelId);
        uint256 outEnd = 1 + PROOF_BYTES + 32 * model.outputWords;
        uint256 end = outEnd + 32 * model.inputWords;
        // the shape, not the challenger, says where outputs end and inputs begin
        if (committed.length != end || committed[0] != 0x02) return false;
        bytes calldata outBytes = committed[1 + PROOF_BYTES:outEnd];
        bytes calldata inBytes = committed[outEnd:];
        if (keccak256(inBytes) != r.inputHash || keccak256(outBytes) != r.outputHash) return false;
        return
            verifier.verifyFor(
                address(settlement),
                r.modelId,
                r.requestId,
                r.payer,
                _words(inBytes),
                _words(outBytes),
                abi.decode(committed[1:1 + PROOF_BYTES], (Groth16Proof))
            );
    }

    /// The nodes of a proven batch are its receipts' leaves, each followed by its proof.
    function _requireTree(bytes32 batchId, Batch calldata batch, ProvenReceipt[] calldata receipts) private pure {
        require(receipts.length != 0 && receipts.length == batch.count, NotThisBatch(batchId));
        bytes32[] memory hashes = new bytes32[](receipts.length * 2);
        uint256[] memory totals = new uint256[](hashes.length);
        for (uint256 i; i < receipts.length; ++i) {
            ProvenReceipt calldata item = receipts[i];
            hashes[2 * i] = SumTree.leaf(ReceiptLib.hash(item.receipt), item.sig.r, item.sig.vs);
            totals[2 * i] = SumTree.leafTotal(item.receipt.fee);
            hashes[2 * i + 1] = keccak256(
                abi.encodePacked(uint8(2), item.proof.a, item.proof.b, item.proof.c, item.outWords, item.inWords)
            );
        }
        (bytes32 root, uint256 total) = SumTree.rootOf(hashes, totals);
        require(root == batch.root && total == (uint256(batch.fees) << 32) | batch.count, NotThisBatch(batchId));
    }

    /// One receipt by itself: its mode, time, key and words.
    function _requireServed(bytes32 domain, Batch calldata batch, ProvenReceipt calldata item) private view {
        Receipt calldata r = item.receipt;
        require(r.mode == MODE_ZKML, NotZkml(r.mode));
        require(r.servedAt >= batch.servedFrom && r.servedAt <= batch.servedTo, ServedOutOfRange(r.requestId));
        CompactSignature memory sig = item.sig;
        address key = ReceiptLib.recover(ReceiptLib.digest(domain, ReceiptLib.hash(r)), sig);
        require(
            key != address(0) && nodes.findOperator(key, MODE_ZKML, r.servedAt) == batch.operator,
            InvalidSigner(r.requestId, key)
        );
        require(
            keccak256(abi.encodePacked(item.inWords)) == r.inputHash &&
                keccak256(abi.encodePacked(item.outWords)) == r.outputHash,
            WordsMismatch(r.requestId)
        );
    }

    /// Modes, prices and royalties. A model's receipts stand together, so that its royalty is rounded once.
    function _requireTerms(uint256[] calldata royalties, ProvenReceipt[] calldata receipts) private view {
        uint256[] memory left = new uint256[](royalties.length);
        for (uint256 i; i < royalties.length; ++i) left[i] = uint96(royalties[i]);
        uint256 next;
        while (next < receipts.length) {
            bytes32 modelId = receipts[next].receipt.modelId;
            (address royaltyTo, uint16 royaltyBps, uint96 price, uint8 modes) = models.termsOf(modelId);
            require((modes >> MODE_ZKML) & 1 == 1, ModeNotAllowed(modelId, modes));
            uint256 fees;
            for (; next < receipts.length && receipts[next].receipt.modelId == modelId; ++next) {
                Receipt calldata r = receipts[next].receipt;
                require(r.fee >= price, PriceNotMet(r.requestId, price));
                fees += r.fee;
            }
            _take(royalties, left, modelId, royaltyTo, (fees * royaltyBps) / BPS);
        }
        for (uint256 i; i < left.length; ++i) require(left[i] == 0, RoyaltiesMismatch(0, left[i]));
    }

    /// Takes a model's royalty off what the list still has for its owner.
    function _take(
        uint256[] calldata royalties,
        uint256[] memory left,
        bytes32 modelId,
        address royaltyTo,
        uint256 amount
    ) private pure {
        if (amount == 0) return;
        uint256 i;
        while (i < left.length && address(uint160(royalties[i] >> 96)) != royaltyTo) ++i;
        require(i < left.length && left[i] >= amount, RoyaltiesMismatch(modelId, amount));
        left[i] -= amount;
    }

    function _words(bytes calldata data) private pure returns (uint256[] memory words) {
        words = new uint256[](data.length / 32);
        for (uint256 i; i < words.length; ++i) words[i] = uint256(bytes32(data[32 * i:]));
    }

    /// Whether a leaf has a right sibling that counts for nothing: the place of its proof.
    function _commitsToProof(Leaf calldata leaf) private pure returns (bool) {
        return leaf.path.length >= LEVEL_BYTES && leaf.right & 1 == 0 && bytes16(leaf.path[32:LEVEL_BYTES]) == 0;
    }
}
