// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {CoseSign1} from "./CoseSign1.sol";
import {Attestation, Certificate, INitroAttestationVerifier} from "./INitroAttestationVerifier.sol";
import {IP384Verifier} from "./IP384Verifier.sol";
import {ISha384} from "./ISha384.sol";
import {LocalChain} from "./LocalChain.sol";
import {NitroDocument, NitroDocuments} from "./NitroDocument.sol";
import {Slice, Slices} from "./Slice.sol";
import {X509, X509Certificate} from "./x509/X509Certificate.sol";

/// @title AWS Nitro attestation documents checked on chain
/// @notice See `INitroAttestationVerifier`.
contract NitroAttestationVerifier is INitroAttestationVerifier, Ownable2Step {
    /// keccak256 of "aws.nitro-enclaves" Root-G1, SHA-256 fingerprint 641a0321…9bb5b
    bytes32 private constant AWS_ROOT = 0x311d96fcd5c5e0ccf72ef548e2ea7d4c0cd53ad7c4cc49e67471aed41d61f185;

    uint256 private constant MAX_DOCUMENT_LENGTH = 16_384;
    uint256 private constant MAX_CERTIFICATE_LENGTH = 1_024;
    /// A document holds 8 CA certificates at most, so 7 below the root; it bounds every walk up a chain.
    uint8 private constant MAX_PATH_LENGTH = 7;
    /// What clocks may differ by.
    uint256 private constant MAX_SKEW_MS = 60_000;

    /// A certificate in a chain: what is remembered of it under its parent, or was parsed to be.
    struct Link {
        bytes32 certificate;
        Certificate record;
        bool known;
        X509Certificate parsed;
    }

    IP384Verifier public immutable p384;
    ISha384 public immutable sha384;
    /// @inheritdoc INitroAttestationVerifier
    bytes32 public immutable root;
    /// The root's name among the certificates.
    bytes32 private immutable _rootCertificate;

    /// @inheritdoc INitroAttestationVerifier
    address public revoker;
    /// @inheritdoc INitroAttestationVerifier
    mapping(bytes32 id => bool) public isRevoked;
    mapping(bytes32 certificate => Certificate) private _certificates;

    /// @param rootDer self-signed; its signature is checked, which also shows that `p384_` and `sha384_` work.
    constructor(IP384Verifier p384_, ISha384 sha384_, bytes memory rootDer, address owner_) Ownable(owner_) {
        p384 = p384_;
        sha384 = sha384_;
        root = keccak256(rootDer);
        if (root != AWS_ROOT) {
            require(LocalChain.here(), TestRootOnPublicChain(block.chainid));
            emit TestRootTrusted(root, block.chainid);
        }

        Slice der = Slices.whole(rootDer);
        Link memory link = _read(der, 0);
        require(link.record.isCa, NotCa(link.certificate));
        _admit(link, der);
        _rootCertificate = link.certificate;
    }

    /// @inheritdoc INitroAttestationVerifier
    function verify(bytes calldata document) external returns (Attestation memory attestation) {
        _requireRightChain();
        require(document.length <= MAX_DOCUMENT_LENGTH, DocumentTooLong(document.length, MAX_DOCUMENT_LENGTH));
        (Slice payload, Slice encodedPayload, Slice signature) = CoseSign1.parse(Slices.whole(document));
        NitroDocument memory claims = NitroDocuments.parse(payload);
        require(!claims.debugMode, DebugModeEnclave());

        (bytes32 leaf, uint64 validUntil) = _verifyChain(claims);
        (, Slice publicKey) = X509.subjectAndKey(claims.certificate);
        require(
            _isSigned(CoseSign1.signedBytes(encodedPayload), signature.toBytes(), publicKey),
            InvalidDocumentSignature(leaf)
        );
        return
            Attestation({
                pcrHash: claims.pcrHash,
                leaf: leaf,
                timestampMs: claims.timestampMs,
                validUntil: validUntil,
                publicKey: claims.publicKey.toBytes(),
                userData: claims.userData.toBytes(),
                nonce: claims.nonce.toBytes()
            });
    }

    /// @inheritdoc INitroAttestationVerifier
    function stageCertificate(bytes calldata der, bytes calldata parentDer) external returns (bytes32 certificate) {
        _requireRightChain();
        _requireCertificateLength(der.length);
        _requireCertificateLength(parentDer.length);
        Slice parentSlice = Slices.whole(parentDer);
        bytes32 parent = X509.tbsOf(parentSlice).hash();
        Link memory link = _read(Slices.whole(der), parent);
        _requireAllowed(link, _allowanceBelow(parent));
        _admit(link, parentSlice);
        return link.certificate;
    }

    /// @inheritdoc INitroAttestationVerifier
    function revokeCertificate(bytes32 id) external {
        require(msg.sender == revoker || msg.sender == owner(), NotRevoker(msg.sender, revoker));
        isRevoked[id] = true;
        emit CertificateRevoked(id);
    }

    /// @inheritdoc INitroAttestationVerifier
    function setRevoker(address revoker_) external onlyOwner {
        revoker = revoker_;
        emit RevokerSet(revoker_);
    }

    /// @inheritdoc INitroAttestationVerifier
    function isLive(bytes32 certificate) external view returns (bool live) {
        if (isTestRoot() && !LocalChain.here()) return false;
        uint256 casBelow;
        while (true) {
            Certificate storage record = _certificates[certificate];
            if (record.notAfter < block.timestamp || record.notBefore > block.timestamp || isRevoked[record.id]) {
                return false;
            }
            if (record.isCa) {
                if (record.pathLength < casBelow) return false;
                ++casBelow;
            }
            if (certificate == _rootCertificate) return true;
            certificate = record.parent;
        }
    }

    /// @inheritdoc INitroAttestationVerifier
    function certificateOf(bytes32 certificate) external view returns (Certificate memory) {
        return _certificates[certificate];
    }

    /// @inheritdoc INitroAttestationVerifier
    function isTestRoot() public view returns (bool) {
        return root != AWS_ROOT;
    }

    /// Walks from the root to the leaf, whatever is remembered.
    function _verifyChain(NitroDocument memory claims) private returns (bytes32 leaf, uint64 validUntil) {
        Slice parentDer = claims.cabundle[0];
        require(parentDer.hash() == root, UntrustedRoot(root, parentDer.hash()));
        bytes32 parent = _rootCertificate;
        Certificate memory record = _certificates[parent];
        _requireLive(parent, record);
        validUntil = record.notAfter;
        uint256 allowance = record.pathLength;

        for (uint256 i = 1; i < claims.cabundle.length; ++i) {
            Link memory ca = _read(claims.cabundle[i], parent);
            require(ca.record.isCa, NotCa(ca.certificate));
            _requireAllowed(ca, allowance);
            _admit(ca, parentDer);
            parent = ca.certificate;
            parentDer = claims.cabundle[i];
            validUntil = _earlier(validUntil, ca.record.notAfter);
            // allowed above, so at least 1
            allowance = allowance - 1 < ca.record.pathLength ? allowance - 1 : ca.record.pathLength;
        }

        Link memory end = _read(claims.certificate, parent);
        require(!end.record.isCa, LeafIsCa(end.certificate));
        _requireMadeDuring(end.record, claims.timestampMs);
        _admit(end, parentDer);
        return (end.certificate, _earlier(validUntil, end.record.notAfter));
    }

    /// Finds a certificate under this parent, or parses it; it has to be live by itself.
    function _read(Slice der, bytes32 parent) private view returns (Link memory link) {
        link.certificate = X509.tbsOf(der).hash();
        require(link.certificate != _rootCertificate, RootBelowACertificate());
        link.record = _certificates[link.certificate];
        link.known = link.record.notAfter != 0 && link.record.parent == parent;
        if (!link.known) {
            link.parsed = X509.parse(der);
            link.record = _record(link.parsed, parent);
        }
        _requireLive(link.certificate, link.record);
    }

    function _record(X509Certificate memory parsed, bytes32 parent) private pure returns (Certificate memory) {
        uint8 pathLength = parsed.pathLength < MAX_PATH_LENGTH ? parsed.pathLength : MAX_PATH_LENGTH;
        return
            Certificate({
                parent: parent,
                id: keccak256(abi.encode(parsed.issuer.hash(), parsed.serial.hash())),
                notBefore: parsed.notBefore,
                notAfter: parsed.notAfter,
                pathLength: parsed.isCa ? pathLength : 0,
                isCa: parsed.isCa
            });
    }

    /// Remembers a certificate that is new here, if its parent signed it; `parentDer` is what `_read` was told the parent is.
    function _admit(Link memory link, Slice parentDer) private {
        if (link.known) return;
        X509Certificate memory parsed = link.parsed;
        (Slice subject, Slice publicKey) = X509.subjectAndKey(parentDer);
        require(subject.hash() == parsed.issuer.hash(), IssuerMismatch(subject.hash(), parsed.issuer.hash()));
        require(
            _isSigned(parsed.tbs.toBytes(), parsed.signature, publicKey),
            InvalidCertificateSignature(link.certificate)
        );
        _certificates[link.certificate] = link.record;
        emit CertificateStaged(link.certificate, link.record.parent, link.record.notAfter);
    }

    function _isSigned(bytes memory message, bytes memory signature, Slice publicKey) private view returns (bool) {
        (uint128 high, uint256 low) = sha384.hash(message);
        return p384.verify(abi.encodePacked(high, low), signature, publicKey.toBytes());
    }

    /// How many CA certificates may follow below a remembered CA, which has to be live with all above it.
    function _allowanceBelow(bytes32 certificate) private view returns (uint256 allowance) {
        allowance = MAX_PATH_LENGTH;
        for (uint256 cas; ; ++cas) {
            Certificate memory record = _certificates[certificate];
            require(record.notAfter != 0, UnknownCertificate(certificate));
            require(record.isCa, NotCa(certificate));
            _requireLive(certificate, record);
            require(record.pathLength >= cas, PathTooLong(certificate));
            if (record.pathLength - cas < allowance) allowance = record.pathLength - cas;
            if (certificate == _rootCertificate) return allowance;
            certificate = record.parent;
        }
    }

    function _requireAllowed(Link memory link, uint256 allowance) private pure {
        require(!link.record.isCa || allowance != 0, PathTooLong(link.certificate));
    }

    function _requireLive(bytes32 certificate, Certificate memory record) private view {
        require(
            record.notBefore <= block.timestamp,
            CertificateNotYetValid(certificate, record.notBefore, block.timestamp)
        );
        require(record.notAfter >= block.timestamp, CertificateExpired(certificate, record.notAfter, block.timestamp));
        require(!isRevoked[record.id], RevokedCertificate(certificate, record.id));
    }

    function _requireMadeDuring(Certificate memory leaf, uint256 timestampMs) private view {
        uint256 seconds_ = timestampMs / 1_000;
        require(
            seconds_ >= leaf.notBefore && seconds_ <= leaf.notAfter,
            DocumentOutsideValidity(timestampMs, leaf.notBefore, leaf.notAfter)
        );
        uint256 latestMs = block.timestamp * 1_000 + MAX_SKEW_MS;
        require(timestampMs <= latestMs, DocumentFromFuture(timestampMs, latestMs));
    }

    /// A chain's id can change after deployment, when a development chain is forked off as something else.
    function _requireRightChain() private view {
        require(!isTestRoot() || LocalChain.here(), TestRootOnPublicChain(block.chainid));
    }

    function _requireCertificateLength(uint256 length) private pure {
        require(length <= MAX_CERTIFICATE_LENGTH, CertificateTooLong(length, MAX_CERTIFICATE_LENGTH));
    }

    function _earlier(uint64 a, uint64 b) private pure returns (uint64) {
        return a < b ? a : b;
    }
}
