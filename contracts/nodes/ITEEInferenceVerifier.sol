// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IEnclaveKeys} from "./IEnclaveKeys.sol";

/// @title OpenGradient's own signatures of answers, checked on chain
/// @notice An enclave signs keccak256(inputHash ‖ outputHash ‖ uint256 timestamp) by RSASSA-PSS with SHA-256, MGF1 and a salt of 32
/// bytes. The functions are those of OpenGradient's `TEEInferenceVerifier` and `TEEBatchVerifier`, so that what calls them works
/// here unchanged.
/// @dev The statement has no domain: it names neither chain, contract, payer nor request, so that whoever knows one can present it
/// anywhere, any number of times. Use it to show that an answer came out of an enclave; money moves on receipts (EIP-712) only.
interface ITEEInferenceVerifier {
    /// @notice Most seconds since an answer was signed, for `verifySignature`.
    function MAX_INFERENCE_AGE() external view returns (uint256);

    /// @notice Most seconds that the enclave's clock may be ahead of the block's.
    function FUTURE_TOLERANCE() external view returns (uint256);

    function registry() external view returns (IEnclaveKeys);

    /// @notice What the enclave signs, before SHA-256.
    function computeMessageHash(
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp
    ) external pure returns (bytes32);

    /// @notice Whether an enclave signed this answer lately, within its time. False for anything else, never reverts.
    /// @param teeId keccak256 of the enclave's signing key, SPKI DER.
    /// @param timestamp unix seconds, as signed.
    /// @param signature as long as the key's modulus.
    function verifySignature(
        bytes32 teeId,
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp,
        bytes calldata signature
    ) external view returns (bool);

    /// @notice The same for an answer of any age. It stays true after the enclave's end: what counts is that the enclave was live
    /// when it signed. (OpenGradient's own ask whether it is enabled now, whenever it signed.)
    function verifySignatureNoTimestamp(
        bytes32 teeId,
        bytes32 inputHash,
        bytes32 outputHash,
        uint256 timestamp,
        bytes calldata signature
    ) external view returns (bool);
}
