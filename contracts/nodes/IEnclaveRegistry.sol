// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INitroAttestationVerifier} from "../attestation/INitroAttestationVerifier.sol";
import {CompactSignature, Receipt} from "../receipts/ReceiptLib.sol";
import {IEnclaveKeys} from "./IEnclaveKeys.sol";

/// @notice Measurements of an enclave image: SHA-384, 48 bytes each.
struct PCRMeasurements {
    bytes pcr0;
    bytes pcr1;
    bytes pcr2;
}

/// @notice An image that may run enclaves of one type, as of when.
/// @dev slot 0: pcrHash; slot 1: teeType 8 | approvedAt 40 | revokedAt 40; then the version
struct EnclaveImage {
    /// keccak256(PCR0 ‖ PCR1 ‖ PCR2)
    bytes32 pcrHash;
    uint8 teeType;
    /// unix seconds; revokedAt is zero while approved
    uint40 approvedAt;
    uint40 revokedAt;
    string version;
}

/// @notice Who checks attestations: one verifier for each root of trust.
/// @dev slot: verifier 160 | removedAt 40 | testRoot 8
struct AttestationVerifier {
    INitroAttestationVerifier verifier;
    /// unix seconds, zero while in use
    uint40 removedAt;
    /// its root is not AWS's: enclaves it lets in prove the protocol, not hardware
    bool testRoot;
}

/// @notice An enclave by its key that signs receipts.
/// @dev The first slot alone answers for receipts older than the last heartbeat: a heartbeat is taken only while image and
/// verifier are good, so nothing that was revoked since can have been revoked before it.
/// slot 0: operator 160 | attestedAt 32 | liveUntil 32 | heartbeatAt 32 (unix seconds, which 32 bits hold until 2106);
/// slot 1: data 160 | image 32 | verifier 16 | index 32 | keyLength 16; slot 2: nodeId; slot 3: leaf
struct Enclave {
    address operator;
    /// half-open interval of its receipts' times: from its registration, until its last attestation wears out or it was ended
    uint32 attestedAt;
    uint32 liveUntil;
    /// when it last said that it lives
    uint32 heartbeatAt;
    /// code that holds X25519 key 32 | signing key, SPKI DER | TLS certificate, DER
    address data;
    uint32 image;
    uint16 verifier;
    /// in the list of its type
    uint32 index;
    /// bytes of the signing key
    uint16 keyLength;
    bytes32 nodeId;
    /// the leaf certificate of its last attestation, as its verifier names it
    bytes32 leaf;
}

/// @notice Enclave types, as OpenGradient's registry has them.
struct TEETypeInfo {
    string name;
    uint256 addedAt;
}

struct PCRKey {
    bytes32 pcrHash;
    uint8 teeType;
}

/// @notice How inputs are sealed for an enclave: HPKE, RFC 9180 and 9458.
struct OhttpConfig {
    uint8 keyId;
    uint16 kemId;
    uint16 kdfId;
    uint16 aeadId;
    /// X25519, 32 bytes
    bytes publicKey;
    /// as RFC 9458, section 3.1, writes it
    bytes keyConfig;
    uint256 registeredAt;
}

/// @notice An enclave, in the shape of OpenGradient's registry.
struct TEEInfo {
    address owner;
    address paymentAddress;
    string endpoint;
    /// RSA signing key, SPKI DER
    bytes publicKey;
    /// DER
    bytes tlsCertificate;
    bytes32 pcrHash;
    uint8 teeType;
    bool enabled;
    uint256 registeredAt;
    uint256 lastHeartbeatAt;
    OhttpConfig ohttpConfig;
}

/// @title Enclaves of nodes
/// @notice A node's enclave is registered by an attestation of its hardware, checked on chain, that was made for this
/// registration and no other. The one document binds every key the enclave has: the secp256k1 key of its receipts and the
/// X25519 key of its sealed inputs (`public_key`, 65 + 32 bytes), its TLS certificate and its RSA signing key (`user_data`,
/// 68 bytes, OpenGradient's). From then on the enclave signs receipts of mode TEE, until its attestation wears out.
/// @dev `teeId` = keccak256 of the RSA signing key's SPKI DER, as in OpenGradient's registry.
interface IEnclaveRegistry is IEnclaveKeys {
    event TEETypeAdded(uint8 indexed typeId, string name);
    event PCRApproved(bytes32 indexed pcrHash, uint8 indexed teeType, string version);
    event PCRRevoked(bytes32 indexed pcrHash, uint8 indexed teeType);
    event VerifierAdded(uint256 indexed index, address indexed verifier, bytes32 root, bool testRoot);
    event VerifierRemoved(uint256 indexed index, address indexed verifier);
    event GuardianSet(address indexed guardian);
    event AttestationTtlSet(uint256 ttl);
    event HeartbeatMaxAgeSet(uint256 maxAge);
    event ChallengeIssued(bytes32 indexed nodeId, uint8 indexed teeType, bytes32 challenge);
    event TEERegistered(bytes32 indexed teeId, address indexed owner, uint8 teeType);
    event EnclaveAttested(
        bytes32 indexed teeId,
        bytes32 indexed nodeId,
        address indexed key,
        bytes32 pcrHash,
        uint256 verifier,
        uint256 liveUntil
    );
    event TEEDisabled(bytes32 indexed teeId);
    event HeartbeatReceived(bytes32 indexed teeId, uint256 timestamp);

    error TEETypeExists(uint8 teeType);
    error InvalidTEEType(uint8 teeType);
    error InvalidPCR(uint256 index, uint256 length);
    error PCRAlreadyExists(bytes32 pcrHash, uint8 teeType);
    error PCRNotApproved(bytes32 pcrHash, uint8 teeType);
    error VerifierNotInUse(uint256 index);
    error VerifierExists(address verifier);
    error TestRootOnPublicChain(uint256 chainId);
    error NotGuardian(address caller);
    error InvalidTtl(uint256 ttl, uint256 minimum, uint256 maximum);
    error ChallengeMissing(bytes32 nodeId);
    error WrongChallenge(bytes expected, bytes found);
    error AttestationTooOld(uint256 madeAt, uint256 notBefore);
    error InvalidSigningKey(uint256 length);
    error InvalidTlsCertificate(uint256 length, uint256 maximum);
    /// `public_key`: expected a secp256k1 key, uncompressed (0x04…, 65 bytes), then an X25519 key (32); in a renewal, the enclave's
    error PublicKeyMismatch(bytes found);
    /// `user_data`: expected the hashes of TLS certificate and signing key, each after 0x1220
    error UserDataMismatch(bytes expected, bytes found);
    error TEEAlreadyExists(bytes32 teeId);
    error TEENotFound(bytes32 teeId);
    error TEENotEnabled(bytes32 teeId);
    error TooManyEnclaves(uint256 maximum);
    error EnclaveIsLive(bytes32 teeId);
    error HeartbeatSignatureInvalid();
    error HeartbeatTimestampTooOld(uint256 timestamp, uint256 notBefore);
    error HeartbeatTimestampInFuture(uint256 timestamp, uint256 now_);

    // ---- policy: the owner's, who is governance; the guardian may only revoke

    /// @notice Adds a type of enclaves. Owner only. 0 (LLMProxy) and 1 (Validator) exist.
    function addTEEType(uint8 teeType, string calldata name) external;

    /// @notice Lets an image run enclaves of a type. Owner only. Measurements of debug mode (zero) are refused, and so is an
    /// image that was revoked: that is for ever.
    function approvePCR(PCRMeasurements calldata pcrs, string calldata version, uint8 teeType) external;

    /// @notice Disables whatever runs an image, from this second on. Owner or guardian.
    function revokePCR(bytes32 pcrHash, uint8 teeType) external;

    /// @notice Accepts attestations that a verifier, and so its root, vouches for. Owner only. Roots rotate by adding another.
    /// @return index by which registrations name it.
    function addVerifier(INitroAttestationVerifier verifier) external returns (uint256 index);

    /// @notice Disables whatever was attested by a verifier, from this second on. Owner or guardian.
    function removeVerifier(uint256 index) external;

    /// @notice Sets who may revoke besides the owner. Owner only.
    function setGuardian(address guardian) external;

    /// @notice How long an attestation holds, seconds, from an hour to 30 days; those made before keep their end. Owner only.
    function setAttestationTtl(uint256 ttl) external;

    /// @notice How old the last heartbeat of an active enclave may be, seconds. Owner only.
    function setHeartbeatMaxAge(uint256 maxAge) external;

    // ---- enclaves

    /// @notice Begins a registration or a re-attestation: the document's `nonce` has to be this challenge, which is good once,
    /// for this node as it is now. The node's operator only; a new challenge replaces the last one.
    /// @return challenge keccak256 over chain, registry, node, operator, payout, endpoint, role, type and a fresh salt.
    function requestChallenge(bytes32 nodeId, uint8 teeType) external returns (bytes32 challenge);

    /// @notice Registers an enclave of a node by its attestation. The node's operator only.
    /// @param verifier index of the verifier in use.
    /// @param document COSE_Sign1; its certificates may have been staged before, to save gas here.
    /// @param signingKey RSA key, SPKI DER, 2,048 to 4,096 bits.
    /// @param tlsCertificate DER, at most 2,048 bytes.
    /// @return teeId keccak256 of `signingKey`.
    function registerEnclave(
        bytes32 nodeId,
        uint8 teeType,
        uint256 verifier,
        bytes calldata document,
        bytes calldata signingKey,
        bytes calldata tlsCertificate
    ) external returns (bytes32 teeId);

    /// @notice Prolongs a live enclave by a new attestation of the same keys and image. The node's operator only. What has worn
    /// out or was ended never comes back: its enclave starts again, with new keys.
    function renewAttestation(bytes32 teeId, uint256 verifier, bytes calldata document) external;

    /// @notice Takes an enclave's word that it lives; anyone may bring it.
    /// @param timestamp unix seconds, later than the last one's, at most the maximum age old.
    /// @param signature of the enclave's receipt key over EIP-712 `Heartbeat(bytes32 teeId,uint256 timestamp)` in the domain
    /// {name "OpenGradient", version "1"} of this registry, 65 bytes.
    function heartbeat(bytes32 teeId, uint256 timestamp, bytes calldata signature) external;

    /// @notice Ends an enclave for ever, from now on. Its operator, the owner and the guardian at any time; anybody once its attestation
    /// has worn out, its image or verifier was revoked, or a certificate that vouched for it was.
    function disableTEE(bytes32 teeId) external;

    // ---- what others ask

    /// @notice The operator whose key, valid then, signed a receipt; zero when there is none.
    /// @param domainSeparator of the settlement that the receipt is for.
    function checkReceiptSignature(
        bytes32 domainSeparator,
        Receipt calldata receipt,
        CompactSignature calldata signature
    ) external view returns (address);

    /// @notice An enclave's record and the address of its key; all zero when there is none.
    function enclave(bytes32 teeId) external view returns (address key, Enclave memory);

    /// @notice A page of the enclaves of a type that were not ended, in no order.
    function enclavesOf(uint8 teeType, uint256 offset, uint256 limit) external view returns (bytes32[] memory teeIds);

    function verifiers() external view returns (AttestationVerifier[] memory);
    function images() external view returns (EnclaveImage[] memory);

    // ---- OpenGradient's reads

    /// @notice All enclaves of a type that are in service now.
    function getActiveTEEs(uint8 teeType) external view returns (TEEInfo[] memory);
    function getEnabledTEEs(uint8 teeType) external view returns (bytes32[] memory teeIds);
    function getTEEsByType(uint8 teeType) external view returns (bytes32[] memory teeIds);
    function getTEEsByOwner(address owner) external view returns (bytes32[] memory teeIds);
    function getTEE(bytes32 teeId) external view returns (TEEInfo memory);
    function isTEEEnabled(bytes32 teeId) external view returns (bool);
    function isTEEActive(bytes32 teeId) external view returns (bool);
    function isPCRApproved(uint8 teeType, bytes32 pcrHash) external view returns (bool);
    function getApprovedPCRs() external view returns (PCRKey[] memory);
    function getTEETypes() external view returns (uint8[] memory ids, TEETypeInfo[] memory infos);
    function isValidTEEType(uint8 teeType) external view returns (bool);
    function computePCRHash(PCRMeasurements calldata pcrs) external pure returns (bytes32);
    function computeTEEId(bytes calldata publicKey) external pure returns (bytes32);
    function heartbeatMaxAge() external view returns (uint256);
}
