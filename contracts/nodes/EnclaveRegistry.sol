// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Attestation, Certificate, INitroAttestationVerifier} from "../attestation/INitroAttestationVerifier.sol";
import {RsaPublicKey} from "../attestation/RsaPublicKey.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../receipts/ReceiptLib.sol";
import {CodeData} from "./CodeData.sol";
import {EnclavePolicy} from "./EnclavePolicy.sol";
import {Enclave, EnclaveImage, IEnclaveRegistry} from "./IEnclaveRegistry.sol";
import {IEnclaveKeys} from "./IEnclaveKeys.sol";
import {INodeRegistry} from "./INodeRegistry.sol";

/// @title Enclaves of nodes: registered by attestation, kept by heartbeats
/// @notice See `IEnclaveRegistry`.
abstract contract EnclaveRegistry is INodeRegistry, EnclavePolicy, EIP712 {
    /// @dev slot: salt 216 | issuedAt 40
    struct Challenge {
        uint216 salt;
        uint40 issuedAt;
    }

    bytes32 private constant HEARTBEAT_TYPEHASH = keccak256("Heartbeat(bytes32 teeId,uint256 timestamp)");
    uint8 internal constant MODE_TEE = 2;
    /// From its making to its block: certificates may have to be staged in between.
    uint256 private constant MAX_DOCUMENT_AGE = 10 minutes;
    uint256 private constant MAX_ENCLAVES = 4;
    uint256 private constant MAX_CERTIFICATE = 2_048;
    /// secp256k1 key 65 | X25519 key 32
    uint256 private constant PUBLIC_KEY_LENGTH = 97;
    uint256 private constant SEALING_KEY_LENGTH = 32;
    /// a multihash's head: SHA-256, 32 bytes
    bytes2 private constant SHA256_HEAD = 0x1220;

    mapping(bytes32 nodeId => Node) internal _nodes;
    mapping(bytes32 teeId => address key) internal _enclaveKeys;
    mapping(address key => Enclave) internal _enclaves;
    mapping(uint8 teeType => bytes32[] teeIds) internal _enclavesOfType;
    mapping(bytes32 nodeId => bytes32[] teeIds) internal _enclavesOfNode;
    mapping(bytes32 nodeId => Challenge) private _challenges;
    uint256 private _challengeCount;

    modifier onlyOperator(bytes32 nodeId) {
        _requireOperator(nodeId);
        _;
    }

    /// @inheritdoc IEnclaveRegistry
    function requestChallenge(bytes32 nodeId, uint8 teeType) external onlyOperator(nodeId) returns (bytes32 challenge) {
        require(isValidTEEType(teeType), InvalidTEEType(teeType));
        uint256 salt = uint256(keccak256(abi.encode(++_challengeCount, blockhash(block.number - 1), block.prevrandao)));
        Challenge memory c = Challenge(uint216(salt), uint40(block.timestamp));
        _challenges[nodeId] = c;
        challenge = _challenge(nodeId, teeType, c);
        emit ChallengeIssued(nodeId, teeType, challenge);
    }

    /// @inheritdoc IEnclaveRegistry
    function registerEnclave(
        bytes32 nodeId,
        uint8 teeType,
        uint256 verifier,
        bytes calldata document,
        bytes calldata signingKey,
        bytes calldata tlsCertificate
    ) external onlyOperator(nodeId) returns (bytes32 teeId) {
        require(_nodes[nodeId].enabled, NodeIsDisabled(nodeId));
        require(_enclavesOfNode[nodeId].length < MAX_ENCLAVES, TooManyEnclaves(MAX_ENCLAVES));
        require(RsaPublicKey.modulusOf(signingKey).length != 0, InvalidSigningKey(signingKey.length));
        require(
            tlsCertificate.length != 0 && tlsCertificate.length <= MAX_CERTIFICATE,
            InvalidTlsCertificate(tlsCertificate.length, MAX_CERTIFICATE)
        );
        teeId = keccak256(signingKey);
        require(_enclaveKeys[teeId] == address(0), TEEAlreadyExists(teeId));

        Attestation memory a = _attest(nodeId, teeType, verifier, document);
        uint256 image = _approvedImage(a.pcrHash, teeType);
        _requireBound(a.userData, sha256(tlsCertificate), sha256(signingKey));
        (address key, bytes32 sealingKey) = _publicKeys(a.publicKey);
        require(!_isSigner(key) && _enclaves[key].operator == address(0), SignerTaken(key));

        bytes32[] storage list = _enclavesOfType[teeType];
        Enclave storage e = _enclaves[key];
        (e.operator, e.attestedAt) = (msg.sender, uint32(block.timestamp));
        e.data = CodeData.write(abi.encodePacked(sealingKey, signingKey, tlsCertificate));
        (e.image, e.index, e.keyLength) = (uint32(image), uint32(list.length), uint16(signingKey.length));
        e.nodeId = nodeId;
        _enclaveKeys[teeId] = key;
        list.push(teeId);
        _enclavesOfNode[nodeId].push(teeId);
        emit TEERegistered(teeId, msg.sender, teeType);
        _prolong(teeId, key, verifier, a);
    }

    /// @inheritdoc IEnclaveRegistry
    function renewAttestation(bytes32 teeId, uint256 verifier, bytes calldata document) external {
        (address key, Enclave storage e) = _requireEnclave(teeId);
        bytes32 nodeId = e.nodeId;
        _requireOperator(nodeId);
        require(_isLive(e, block.timestamp), TEENotEnabled(teeId));
        EnclaveImage storage image = _images[e.image];
        Attestation memory a = _attest(nodeId, image.teeType, verifier, document);
        require(a.pcrHash == image.pcrHash, PCRNotApproved(a.pcrHash, image.teeType));
        (bytes32 sealingKey, bytes memory signingKey, bytes memory tlsCertificate) = _keysOf(e);
        _requireBound(a.userData, sha256(tlsCertificate), sha256(signingKey));
        (address found, bytes32 foundSealing) = _publicKeys(a.publicKey);
        require(found == key && foundSealing == sealingKey, PublicKeyMismatch(a.publicKey));
        _prolong(teeId, key, verifier, a);
    }

    /// @inheritdoc IEnclaveRegistry
    function heartbeat(bytes32 teeId, uint256 timestamp, bytes calldata signature) external {
        (address key, Enclave storage e) = _requireEnclave(teeId);
        require(_isLive(e, block.timestamp), TEENotEnabled(teeId));
        require(timestamp <= block.timestamp, HeartbeatTimestampInFuture(timestamp, block.timestamp));
        uint256 notBefore = Math.max(uint256(e.heartbeatAt) + 1, block.timestamp - heartbeatMaxAge());
        require(timestamp >= notBefore, HeartbeatTimestampTooOld(timestamp, notBefore));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(HEARTBEAT_TYPEHASH, teeId, timestamp)));
        (address signed, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, signature);
        require(err == ECDSA.RecoverError.NoError && signed == key, HeartbeatSignatureInvalid());
        e.heartbeatAt = uint32(timestamp);
        emit HeartbeatReceived(teeId, timestamp);
    }

    /// @inheritdoc IEnclaveRegistry
    function disableTEE(bytes32 teeId) external {
        (, Enclave storage e) = _requireEnclave(teeId);
        bool trusted = msg.sender == e.operator || msg.sender == guardian || msg.sender == owner();
        require(trusted || !_isLive(e, block.timestamp) || _chainRevoked(e), EnclaveIsLive(teeId));
        bytes32[] storage ofNode = _enclavesOfNode[e.nodeId];
        uint256 i;
        while (i < ofNode.length && ofNode[i] != teeId) ++i;
        require(i < ofNode.length, TEENotEnabled(teeId));
        ofNode[i] = ofNode[ofNode.length - 1];
        ofNode.pop();
        _end(teeId, e);
    }

    /// @inheritdoc IEnclaveRegistry
    function checkReceiptSignature(
        bytes32 domainSeparator,
        Receipt calldata receipt,
        CompactSignature calldata signature
    ) external view returns (address) {
        bytes32 digest = ReceiptLib.digest(domainSeparator, ReceiptLib.hashCalldata(receipt));
        return findOperator(ReceiptLib.recover(digest, signature), receipt.mode, receipt.servedAt);
    }

    /// @inheritdoc IEnclaveKeys
    function isLiveAt(bytes32 teeId, uint256 timestamp) public view returns (bool) {
        return _isLive(_enclaves[_enclaveKeys[teeId]], timestamp);
    }

    /// @inheritdoc INodeRegistry
    function findOperator(address key, uint8 mode, uint256 timestamp) public view virtual returns (address);

    /// Whether a key signs for a node without an enclave.
    function _isSigner(address key) internal view virtual returns (bool);

    /// Whose receipt it is that an enclave signed at `timestamp`; zero when it was not live then. One older than the last heartbeat
    /// needs one slot: what is revoked since was not revoked then.
    function _operatorAt(Enclave storage e, uint256 timestamp) internal view returns (address operator) {
        (uint256 from, uint256 until, uint256 heartbeatAt) = (e.attestedAt, e.liveUntil, e.heartbeatAt);
        operator = e.operator;
        if (timestamp < from || timestamp >= until) return address(0);
        if (timestamp >= heartbeatAt && timestamp >= _revokedAt(e.image, e.verifier)) return address(0);
    }

    function _isLive(Enclave storage e, uint256 timestamp) internal view returns (bool) {
        return _operatorAt(e, timestamp) != address(0);
    }

    /// The end of an enclave's receipts' times, as it stands.
    function _endOf(Enclave storage e) internal view returns (uint256) {
        return Math.min(e.liveUntil, _revokedAt(e.image, e.verifier));
    }

    /// Ends all enclaves of a node, at most `MAX_ENCLAVES`.
    function _endEnclavesOf(bytes32 nodeId) internal {
        bytes32[] storage ofNode = _enclavesOfNode[nodeId];
        for (uint256 i = ofNode.length; i != 0; --i) {
            bytes32 teeId = ofNode[i - 1];
            ofNode.pop();
            _end(teeId, _enclaves[_enclaveKeys[teeId]]);
        }
    }

    function _requireEnclave(bytes32 teeId) internal view returns (address key, Enclave storage e) {
        key = _enclaveKeys[teeId];
        require(key != address(0), TEENotFound(teeId));
        e = _enclaves[key];
    }

    function _keysOf(
        Enclave storage e
    ) internal view returns (bytes32 sealingKey, bytes memory signingKey, bytes memory tlsCertificate) {
        (address data, uint256 keyLength) = (e.data, e.keyLength);
        uint256 certificateAt = SEALING_KEY_LENGTH + keyLength;
        sealingKey = bytes32(CodeData.read(data, 0, SEALING_KEY_LENGTH));
        signingKey = CodeData.read(data, SEALING_KEY_LENGTH, keyLength);
        tlsCertificate = CodeData.read(data, certificateAt, CodeData.size(data) - certificateAt);
    }

    function _requireOperator(bytes32 nodeId) internal view {
        address operator = _nodes[nodeId].operator;
        require(operator != address(0), NodeNotFound(nodeId));
        require(msg.sender == operator, NotOperator(msg.sender, operator));
    }

    /// Verifies a document that answers the node's challenge, which is used up.
    function _attest(
        bytes32 nodeId,
        uint8 teeType,
        uint256 verifier,
        bytes calldata document
    ) private returns (Attestation memory a) {
        Challenge memory c = _challenges[nodeId];
        require(c.issuedAt != 0, ChallengeMissing(nodeId));
        delete _challenges[nodeId];
        a = _verifierInUse(verifier).verifier.verify(document);
        bytes memory expected = abi.encodePacked(_challenge(nodeId, teeType, c));
        require(keccak256(a.nonce) == keccak256(expected), WrongChallenge(expected, a.nonce));
        uint256 madeAt = a.timestampMs / 1_000;
        require(
            madeAt + MAX_DOCUMENT_AGE >= block.timestamp,
            AttestationTooOld(madeAt, block.timestamp - MAX_DOCUMENT_AGE)
        );
    }

    /// The interval of an enclave begins once and is only ever prolonged while it lasts, so that it has no gap.
    function _prolong(bytes32 teeId, address key, uint256 verifier, Attestation memory a) private {
        Enclave storage e = _enclaves[key];
        uint256 liveUntil = block.timestamp + attestationTtl;
        (e.liveUntil, e.heartbeatAt) = (uint32(liveUntil), uint32(block.timestamp));
        (e.verifier, e.leaf) = (uint16(verifier), a.leaf);
        emit EnclaveAttested(teeId, e.nodeId, key, a.pcrHash, verifier, liveUntil);
    }

    /// Takes it from the list of its type, and its receipts from now on, or from when it was revoked, are nobody's.
    function _end(bytes32 teeId, Enclave storage e) private {
        EnclaveImage storage image = _images[e.image];
        bytes32[] storage list = _enclavesOfType[image.teeType];
        (uint256 index, bytes32 moved) = (e.index, list[list.length - 1]);
        list[index] = moved;
        _enclaves[_enclaveKeys[moved]].index = uint32(index);
        list.pop();
        if (e.liveUntil > block.timestamp) e.liveUntil = uint32(block.timestamp);
        emit TEEDisabled(teeId);
    }

    /// Whether a certificate that vouched for the last attestation was revoked since. A chain is at most ten certificates long.
    function _chainRevoked(Enclave storage e) private view returns (bool) {
        INitroAttestationVerifier verifier = _verifiers[e.verifier].verifier;
        bytes32 hash = e.leaf;
        while (hash != 0) {
            Certificate memory c = verifier.certificateOf(hash);
            if (verifier.isRevoked(c.id)) return true;
            hash = c.parent;
        }
        return false;
    }

    function _challenge(bytes32 nodeId, uint8 teeType, Challenge memory c) private view returns (bytes32) {
        Node storage n = _nodes[nodeId];
        return
            keccak256(
                abi.encode(
                    block.chainid,
                    address(this),
                    nodeId,
                    n.operator,
                    n.payout,
                    keccak256(bytes(n.endpoint)),
                    n.role,
                    teeType,
                    c.salt,
                    c.issuedAt
                )
            );
    }

    /// @param publicKey secp256k1 key, uncompressed, then X25519 key.
    function _publicKeys(bytes memory publicKey) private pure returns (address key, bytes32 sealingKey) {
        require(publicKey.length == PUBLIC_KEY_LENGTH && publicKey[0] == 0x04, PublicKeyMismatch(publicKey));
        assembly ("memory-safe") {
            // reads bytes 1 to 96 of the 97
            key := and(keccak256(add(publicKey, 33), 64), 0xffffffffffffffffffffffffffffffffffffffff)
            sealingKey := mload(add(publicKey, 97))
        }
    }

    function _requireBound(bytes memory userData, bytes32 certificateHash, bytes32 keyHash) private pure {
        bytes memory expected = abi.encodePacked(SHA256_HEAD, certificateHash, SHA256_HEAD, keyHash);
        require(keccak256(userData) == keccak256(expected), UserDataMismatch(expected, userData));
    }
}
