// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IZkVersions, ZkCommitment} from "../models/IZkVersions.sol";
import {Bn254} from "./Bn254.sol";
import {Groth16Proof, IShapeVerifier} from "./IShapeVerifier.sol";
import {IZkmlVerifier, ProvenAnswer} from "./IZkmlVerifier.sol";

/// @title Proofs of answers, for any registered model
/// @notice See `IZkmlVerifier`.
contract ZkmlVerifier is IZkmlVerifier {
    /// mx, my, a, b, c
    uint256 private constant POINT_WORDS = 10;
    uint256 private constant PROOF_BYTES = 0x100;
    /// Where the signals are in a call of `IShapeVerifier.verify`: after x, y, proof and this offset.
    uint256 private constant SIGNALS_OFFSET = 0x160;

    /// @inheritdoc IZkmlVerifier
    IZkVersions public immutable registry;

    constructor(IZkVersions registry_) {
        registry = registry_;
    }

    /// @inheritdoc IZkmlVerifier
    function verify(
        bytes32 modelId,
        bytes32 requestId,
        address requester,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external view returns (bool) {
        uint256 context = contextOf(msg.sender, requestId, modelId, requester);
        return _verify(modelId, context, inWords, outWords, proof);
    }

    /// @inheritdoc IZkmlVerifier
    function verifyFor(
        address consumer,
        bytes32 modelId,
        bytes32 requestId,
        address requester,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external view returns (bool) {
        uint256 context = contextOf(consumer, requestId, modelId, requester);
        return _verify(modelId, context, inWords, outWords, proof);
    }

    /// @inheritdoc IZkmlVerifier
    function verifyBatch(ProvenAnswer[] calldata answers) external view returns (bool) {
        return verifyBatchFor(msg.sender, answers);
    }

    /// @inheritdoc IZkmlVerifier
    function verifyBatchFor(address consumer, ProvenAnswer[] calldata answers) public view returns (bool) {
        uint256 n = answers.length;
        if (n == 0) return false;
        // every model is looked up before any proof is checked: whether this reverts must not hang on the proofs
        ZkCommitment[] memory commitments = new ZkCommitment[](n);
        for (uint256 i; i < n; ++i) {
            commitments[i] =
                i != 0 && answers[i].modelId == answers[i - 1].modelId
                    ? commitments[i - 1]
                    : registry.zkCommitment(answers[i].modelId);
        }
        uint256 start;
        for (uint256 end = 1; end <= n; ++end) {
            if (end != n && address(commitments[end].verifier) == address(commitments[start].verifier)) continue;
            if (!_verifyRun(consumer, answers, commitments, start, end)) return false;
            start = end;
        }
        return true;
    }

    /// @inheritdoc IZkmlVerifier
    function contextOf(
        address consumer,
        bytes32 requestId,
        bytes32 modelId,
        address requester
    ) public view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, consumer, requestId, modelId, requester))) % Bn254.R;
    }

    function _verify(
        bytes32 modelId,
        uint256 context,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) private view returns (bool) {
        ZkCommitment memory m = registry.zkCommitment(modelId);
        if (!_fits(m, inWords, outWords)) return false;
        (IShapeVerifier verifier, bytes4 selector) = (m.verifier, IShapeVerifier.verify.selector);
        bool valid;
        // the call as abi.encodeCall would have it, past the free memory pointer, and not kept; its answer goes to scratch
        assembly ("memory-safe") {
            let data := mload(0x40)
            mstore(data, selector)
            mcopy(add(data, 0x04), add(m, 0x20), 0x40)
            calldatacopy(add(data, 0x44), proof, PROOF_BYTES)
            mstore(add(data, 0x144), SIGNALS_OFFSET)
            mstore(add(data, 0x164), add(add(outWords.length, inWords.length), 1))
            let end := add(data, 0x184)
            calldatacopy(end, outWords.offset, shl(5, outWords.length))
            end := add(end, shl(5, outWords.length))
            mstore(end, context)
            end := add(end, 0x20)
            calldatacopy(end, inWords.offset, shl(5, inWords.length))
            end := add(end, shl(5, inWords.length))
            if iszero(staticcall(gas(), verifier, data, sub(end, data), 0, 0x20)) {
                returndatacopy(data, 0, returndatasize())
                revert(data, returndatasize())
            }
            valid := mload(0)
        }
        return valid;
    }

    /// Answers `start` to `end - 1`, which are of one shape.
    function _verifyRun(
        address consumer,
        ProvenAnswer[] calldata answers,
        ZkCommitment[] memory commitments,
        uint256 start,
        uint256 end
    ) private view returns (bool) {
        ZkCommitment memory m = commitments[start];
        uint256 width = POINT_WORDS + m.outputWords + 1 + m.inputWords;
        uint256[] memory items = new uint256[]((end - start) * width);
        uint256 next;
        for (uint256 i = start; i < end; ++i) {
            ProvenAnswer calldata answer = answers[i];
            m = commitments[i];
            if (!_fits(m, answer.inWords, answer.outWords)) return false;
            (items[next], items[next + 1]) = (m.x, m.y);
            Groth16Proof calldata proof = answer.proof;
            // words next + 2 to next + 9, which are below the length
            assembly ("memory-safe") {
                calldatacopy(add(items, mul(add(next, 3), 32)), proof, PROOF_BYTES)
            }
            _putSignals(
                items,
                next + POINT_WORDS,
                contextOf(consumer, answer.requestId, answer.modelId, answer.requester),
                answer.inWords,
                answer.outWords
            );
            next += width;
        }
        return m.verifier.verifyBatch(items);
    }

    /// The numbers of words decide which signal is the context. With others, a word of the caller's could take its place.
    function _fits(
        ZkCommitment memory m,
        uint256[] calldata inWords,
        uint256[] calldata outWords
    ) private pure returns (bool) {
        return inWords.length == m.inputWords && outWords.length == m.outputWords;
    }

    /// Output words, context, input words; `start + 1` of them and what the lengths say are within the array.
    function _putSignals(
        uint256[] memory to,
        uint256 start,
        uint256 context,
        uint256[] calldata inWords,
        uint256[] calldata outWords
    ) private pure {
        assembly ("memory-safe") {
            let end := add(to, shl(5, add(start, 1)))
            calldatacopy(end, outWords.offset, shl(5, outWords.length))
            end := add(end, shl(5, outWords.length))
            mstore(end, context)
            calldatacopy(add(end, 0x20), inWords.offset, shl(5, inWords.length))
        }
    }
}
