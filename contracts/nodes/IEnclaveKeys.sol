// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What `TEEInferenceVerifier` asks the registry of enclaves
interface IEnclaveKeys {
    /// @notice The RSA signing key of an enclave, SPKI DER.
    function getTEEPublicKey(bytes32 teeId) external view returns (bytes memory);

    /// @notice Whether what an enclave signed at unix second `timestamp` is good; false for one that is not known.
    function isLiveAt(bytes32 teeId, uint256 timestamp) external view returns (bool);
}
