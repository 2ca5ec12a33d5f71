// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a verified document says about its enclave.
struct Attestation {
    /// keccak256(PCR0 ‖ PCR1 ‖ PCR2): the image that runs; never the zero measurements of a debug-mode enclave
    bytes32 pcrHash;
    /// the leaf certificate, which `isLive` takes
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
    /// the certificate it was checked under; zero for the root
    bytes32 parent;
    /// keccak256 of issuer name and serial number, by which it can be revoked
    bytes32 id;
    /// unix seconds, both inclusive
    uint64 notBefore;
    uint64 notAfter;
    /// how many CA certificates may follow below it by its own constraint, at most 7; zero for a leaf
    uint8 pathLength;
    bool isCa;
}

/// @title AWS Nitro attestation documents checked on chain
/// @notice Verifies COSE_Sign1 documents of the Nitro Secure Module: ES384 signature, X.509 chain up to one fixed root, CBOR payload.
/// Checked certificates are remembered, so that only the first document of an enclave pays for its chain. How old a document may be
/// and which images are welcome is the caller's policy.
///
/// A certificate is named by keccak256 of its TBSCertificate (whole DER element, the part that is signed). An ECDSA signature
/// (r, s) has a valid twin (r, n - s) that anyone can make: were the signature part of the name, a stranger could have
/// certificates remembered under twins of their issuers. For the same reason nothing may be identified by a document's hash.
///
/// What is remembered counts only under the parent it was checked under, and only while every certificate above is within its
/// validity and not revoked; under another parent it is checked again, and then counts there.
/// @dev Errors of the formats are in `Slices`, `Der`, `DerTime`, `X509`, `X509Extensions`, `Cbor`, `CoseSign1` and `NitroDocuments`.
interface INitroAttestationVerifier {
    event CertificateStaged(bytes32 indexed certificate, bytes32 indexed parent, uint256 notAfter);
    event CertificateRevoked(bytes32 indexed id);
    event RevokerSet(address indexed revoker);
    /// The verifier was deployed with a root that is not AWS's: it proves the protocol, not hardware.
    event TestRootTrusted(bytes32 indexed root, uint256 chainId);

    /// A root other than AWS's works on the chain ids of local development chains (31337, 1337) only.
    error TestRootOnPublicChain(uint256 chainId);
    error DocumentTooLong(uint256 length, uint256 limit);
    error CertificateTooLong(uint256 length, uint256 limit);
    /// The enclave runs in debug mode (PCR0 to PCR2 are zero), so its host can read along.
    error DebugModeEnclave();
    /// The document's first CA certificate is not the root.
    error UntrustedRoot(bytes32 expected, bytes32 found);
    /// The root comes once, at the top.
    error RootBelowACertificate();
    /// The parent is neither the root nor remembered.
    error UnknownCertificate(bytes32 certificate);
    error CertificateNotYetValid(bytes32 certificate, uint256 notBefore, uint256 time);
    error CertificateExpired(bytes32 certificate, uint256 notAfter, uint256 time);
    error RevokedCertificate(bytes32 certificate, bytes32 id);
    /// A certificate above another one has to be a CA's.
    error NotCa(bytes32 certificate);
    /// A CA does not sign documents.
    error LeafIsCa(bytes32 certificate);
    /// A CA above does not allow that many CA certificates below it.
    error PathTooLong(bytes32 certificate);
    /// Hashes of names: the parent's subject, and who the certificate says its issuer is.
    error IssuerMismatch(bytes32 expected, bytes32 found);
    error InvalidCertificateSignature(bytes32 certificate);
    error InvalidDocumentSignature(bytes32 leaf);
    /// The document was not made within its leaf's validity.
    error DocumentOutsideValidity(uint256 timestampMs, uint256 notBefore, uint256 notAfter);
    error DocumentFromFuture(uint256 timestampMs, uint256 latestMs);
    error NotRevoker(address caller, address revoker);

    /// @notice Verifies a document at the block's time and remembers the certificates that are new.
    /// @param document COSE_Sign1, tagged (18) or not, at most 16,384 bytes.
    function verify(bytes calldata document) external returns (Attestation memory);

    /// @notice Checks one certificate and remembers it, so that a chain can be paid for in several transactions.
    /// @param der the certificate, at most 1,024 bytes; its role (CA or leaf) is what its basicConstraints say.
    /// @param parentDer its issuer's, which has to be the root or remembered.
    /// @return certificate keccak256 of the TBSCertificate.
    function stageCertificate(bytes calldata der, bytes calldata parentDer) external returns (bytes32 certificate);

    /// @notice Refuses a certificate and everything below it from now on, for ever. Owner or revoker only.
    /// @param id keccak256(abi.encode(keccak256(issuer), keccak256(serial))): the whole DER element of the issuer's Name, and the
    /// content bytes of the serial number's INTEGER.
    function revokeCertificate(bytes32 id) external;

    /// @notice Sets who may revoke besides the owner. Owner only.
    function setRevoker(address revoker_) external;

    /// @notice Whether a remembered certificate and all above it are within their validity and not revoked.
    function isLive(bytes32 certificate) external view returns (bool);

    /// @notice A remembered certificate; all zero when there is none.
    function certificateOf(bytes32 certificate) external view returns (Certificate memory);

    function isRevoked(bytes32 id) external view returns (bool);

    /// @notice keccak256 of the root certificate's whole DER, fixed for ever.
    function root() external view returns (bytes32);

    /// @notice Whether the root is another one than AWS's: such a verifier proves the protocol, not hardware, and exists on local chains only.
    function isTestRoot() external view returns (bool);

    /// @notice Who may revoke besides the owner; zero when nobody may.
    function revoker() external view returns (address);
}
