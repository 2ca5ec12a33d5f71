// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RsaPss} from "../attestation/RsaPss.sol";
import {RsaPublicKey} from "../attestation/RsaPublicKey.sol";
import {IEnclaveKeys} from "./IEnclaveKeys.sol";
import {ITEEInferenceVerifier} from "./ITEEInferenceVerifier.sol";

/// @title OpenGradient's own signatures of answers, checked on chain
/// @notice See `ITEEInferenceVerifier`.
contract TEEInferenceVerifier is ITEEInferenceVerifier {
    uint256 public constant MAX_INFERENCE_AGE = 3_600;
    uint256 public constant FUTURE_TOLERANCE = 300;

    IEnclaveKeys public immutable registry;

    constructor(IEnclaveKeys registry_) {
        registry = registry_;
    }

    /// @inheritdoc ITEEInferenceVerifier
    function verifySignature(
        bytes32 teeId,
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp,
        bytes calldata signature
    ) external view returns (bool) {
        // in this order: a time that is not in the far future cannot overflow
        if (timestamp > block.timestamp + FUTURE_TOLERANCE) return false;
        if (timestamp + MAX_INFERENCE_AGE < block.timestamp) return false;
        return _isSigned(teeId, inputHash, outputHash, timestamp, signature);
    }

    /// @inheritdoc ITEEInferenceVerifier
    function verifySignatureNoTimestamp(
        bytes32 teeId,
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp,
        bytes calldata signature
    ) external view returns (bool) {
        return _isSigned(teeId, inputHash, outputHash, timestamp, signature);
    }

    /// @inheritdoc ITEEInferenceVerifier
    function computeMessageHash(
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp
    ) public pure returns (bytes32) {
        return keccak256(abi.encode(inputHash, outputHash, timestamp));
    }

    function _isSigned(
        bytes32 teeId,
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp,
        bytes calldata signature
    ) private view returns (bool) {
        if (!registry.isLiveAt(teeId, timestamp)) return false;
        bytes memory modulus = RsaPublicKey.modulusOf(registry.getTEEPublicKey(teeId));
        bytes32 message = computeMessageHash(inputHash, outputHash, timestamp);
        return RsaPss.verify(sha256(abi.encode(message)), signature, modulus);
    }
}
