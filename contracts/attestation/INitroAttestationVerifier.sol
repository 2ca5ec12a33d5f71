// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a verified document says about its enclave.
struct Attestation {
    /// keccak256(PCR0 ‖ PCR1 ‖ PCR2): the image that runs; never the zero measurements of a debug-mode enclave
    bytes32 pcrHash;
    /// keccak256 of the leaf certificate's DER, which `isLive` takes
    bytes32 leaf;
    /// when the document was made, unix milliseconds
    uint64 timestampMs;
    /// unix seconds, inclusive: the earliest end of the chain's certificates
    uint64 validUntil;
    /// chosen by the enclave, empty where absent: at most 1,024, 512 and 512 bytes
    bytes publicKey;
    bytes userData;
    bytes nonce;
}

/// @notice A certificate whose signature was checked.
/// @dev slot 0: parent; slot 1: id; slot 2: notBefore 64 | notAfter 64 | pathLength 8 | isCa 8
struct Certificate {
    /// keccak256 of the issuer's DER; zero for the root
    bytes32 parent;
    /// keccak256 of issuer name and serial number, by which it can be revoked
    bytes32 id;
    /// unix seconds, both inclusive
    uint64 notBefore;
    uint64 notAfter;
    /// how many CA certificates may follow below it
    uint8 pathLength;
    bool isCa;
}

/// @title AWS Nitro attestation documents checked on chain
/// @notice Verifies COSE_Sign1 documents of the Nitro Secure Module: ES384 signature, X.509 chain up to one fixed root, CBOR payload.
/// Checked certificates are remembered, so that only the first document of an enclave pays for its chain. How old a document may be
/// and which images are welcome is the caller's policy.
interface INitroAttestationVerifier {
    event CertificateStaged(bytes32 indexed certificate, bytes32 indexed parent, uint256 notAfter);
    event CertificateRevoked(bytes32 indexed id);
    event RevokerSet(address indexed revoker);

    /// @notice Verifies a document at the block's time and remembers the certificates that are new.
    /// @param document COSE_Sign1, tagged (18) or not, at most 16,384 bytes.
    function verify(bytes calldata document) external returns (Attestation memory);

    /// @notice Checks one certificate and remembers it, so that a chain can be paid for in several transactions.
    /// @param der the certificate; its role (CA or leaf) is what its basicConstraints say.
    /// @param parentDer its issuer's, which has to be the root or remembered.
    /// @return certificate keccak256 of `der`.
    function stageCertificate(bytes calldata der, bytes calldata parentDer) external returns (bytes32 certificate);

    /// @notice Refuses a certificate and everything below it from now on, for ever. Owner or revoker only.
    /// @param id keccak256(abi.encode(keccak256(issuer name DER), keccak256(serial number, the INTEGER's content bytes))).
    function revokeCertificate(bytes32 id) external;

    /// @notice Sets who may revoke besides the owner. Owner only.
    function setRevoker(address revoker) external;

    /// @notice Whether a remembered certificate and all above it are within their validity and not revoked.
    function isLive(bytes32 certificate) external view returns (bool);

    /// @notice A remembered certificate; all zero when there is none.
    function certificateOf(bytes32 certificate) external view returns (Certificate memory);

    function isRevoked(bytes32 id) external view returns (bool);

    /// @notice keccak256 of the root certificate's DER, fixed for ever.
    function root() external view returns (bytes32);

    /// @notice Whether the root is another one than AWS's: such a verifier proves the protocol, not hardware, and exists on local chains only.
    function isTestRoot() external view returns (bool);
}
