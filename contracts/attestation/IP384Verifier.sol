// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ECDSA over NIST P-384
interface IP384Verifier {
    /// @notice Whether a signature is valid (FIPS 186-5, 6.4.2). Malformed input is an invalid signature; nothing reverts.
    /// @dev Both (r, s) and (r, n - s) are valid: neither a signature nor a document that carries one is an identity.
    /// @param digest hash that was signed, 48 bytes.
    /// @param signature r followed by s, big-endian, 48 bytes each.
    /// @param publicKey x followed by y, big-endian, 48 bytes each.
    function verify(
        bytes calldata digest,
        bytes calldata signature,
        bytes calldata publicKey
    ) external view returns (bool);
}
