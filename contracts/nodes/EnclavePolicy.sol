// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {INitroAttestationVerifier} from "../attestation/INitroAttestationVerifier.sol";
import {LocalChain} from "../attestation/LocalChain.sol";
import {
    AttestationVerifier,
    EnclaveImage,
    IEnclaveRegistry,
    PCRKey,
    PCRMeasurements,
    TEETypeInfo
} from "./IEnclaveRegistry.sol";

/// @title Which enclaves are welcome
/// @notice Types, images and roots of trust. Governance adds them; the guardian can only take them away, at once and for ever.
abstract contract EnclavePolicy is IEnclaveRegistry, Ownable2Step {
    uint256 private constant PCR_LENGTH = 48;
    uint256 private constant MIN_TTL = 1 hours;
    uint256 private constant MAX_TTL = 30 days;

    address public guardian;
    uint32 public attestationTtl = 1 days;
    uint32 private _heartbeatMaxAge = 30 minutes;
    mapping(uint8 teeType => TEETypeInfo) private _types;
    uint8[] internal _typeIds;
    AttestationVerifier[] internal _verifiers;
    EnclaveImage[] internal _images;
    /// one more than the index in `_images`
    mapping(uint8 teeType => mapping(bytes32 pcrHash => uint256)) private _imageNumbers;

    constructor() {
        _addType(0, "LLMProxy");
        _addType(1, "Validator");
    }

    modifier onlyGuardian() {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));
        _;
    }

    /// @inheritdoc IEnclaveRegistry
    function addTEEType(uint8 teeType, string calldata name) external onlyOwner {
        require(!isValidTEEType(teeType), TEETypeExists(teeType));
        _addType(teeType, name);
    }

    /// @inheritdoc IEnclaveRegistry
    function approvePCR(PCRMeasurements calldata pcrs, string calldata version, uint8 teeType) external onlyOwner {
        require(isValidTEEType(teeType), InvalidTEEType(teeType));
        _requireMeasured(0, pcrs.pcr0);
        _requireMeasured(1, pcrs.pcr1);
        _requireMeasured(2, pcrs.pcr2);
        bytes32 pcrHash = computePCRHash(pcrs);
        require(_imageNumbers[teeType][pcrHash] == 0, PCRAlreadyExists(pcrHash, teeType));
        _images.push(EnclaveImage(pcrHash, teeType, uint40(block.timestamp), 0, version));
        _imageNumbers[teeType][pcrHash] = _images.length;
        emit PCRApproved(pcrHash, teeType, version);
    }

    /// @inheritdoc IEnclaveRegistry
    function revokePCR(bytes32 pcrHash, uint8 teeType) external onlyGuardian {
        _images[_approvedImage(pcrHash, teeType)].revokedAt = uint40(block.timestamp);
        emit PCRRevoked(pcrHash, teeType);
    }

    /// @inheritdoc IEnclaveRegistry
    function addVerifier(INitroAttestationVerifier verifier) external onlyOwner returns (uint256 index) {
        bool testRoot = verifier.isTestRoot();
        require(!testRoot || LocalChain.here(), TestRootOnPublicChain(block.chainid));
        index = _verifiers.length;
        for (uint256 i; i < index; ++i) {
            require(address(_verifiers[i].verifier) != address(verifier), VerifierExists(address(verifier)));
        }
        _verifiers.push(AttestationVerifier(verifier, 0, testRoot));
        emit VerifierAdded(index, address(verifier), verifier.root(), testRoot);
    }

    /// @inheritdoc IEnclaveRegistry
    function removeVerifier(uint256 index) external onlyGuardian {
        AttestationVerifier storage v = _verifierInUse(index);
        v.removedAt = uint40(block.timestamp);
        emit VerifierRemoved(index, address(v.verifier));
    }

    /// @inheritdoc IEnclaveRegistry
    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    /// @inheritdoc IEnclaveRegistry
    function setAttestationTtl(uint256 ttl) external onlyOwner {
        require(ttl >= MIN_TTL && ttl <= MAX_TTL, InvalidTtl(ttl, MIN_TTL, MAX_TTL));
        attestationTtl = uint32(ttl);
        emit AttestationTtlSet(ttl);
    }

    /// @inheritdoc IEnclaveRegistry
    function setHeartbeatMaxAge(uint256 maxAge) external onlyOwner {
        require(maxAge != 0 && maxAge <= MAX_TTL, InvalidTtl(maxAge, 1, MAX_TTL));
        _heartbeatMaxAge = uint32(maxAge);
        emit HeartbeatMaxAgeSet(maxAge);
    }

    /// @inheritdoc IEnclaveRegistry
    function verifiers() external view returns (AttestationVerifier[] memory) {
        return _verifiers;
    }

    /// @inheritdoc IEnclaveRegistry
    function images() external view returns (EnclaveImage[] memory) {
        return _images;
    }

    /// @inheritdoc IEnclaveRegistry
    function isPCRApproved(uint8 teeType, bytes32 pcrHash) external view returns (bool) {
        uint256 number = _imageNumbers[teeType][pcrHash];
        return number != 0 && _images[number - 1].revokedAt == 0;
    }

    /// @inheritdoc IEnclaveRegistry
    function getApprovedPCRs() external view returns (PCRKey[] memory keys) {
        keys = new PCRKey[](_images.length);
        uint256 count;
        for (uint256 i; i < keys.length; ++i) {
            EnclaveImage storage image = _images[i];
            if (image.revokedAt == 0) keys[count++] = PCRKey(image.pcrHash, image.teeType);
        }
        assembly ("memory-safe") {
            // shortens the array to what was filled
            mstore(keys, count)
        }
    }

    /// @inheritdoc IEnclaveRegistry
    function getTEETypes() external view returns (uint8[] memory ids, TEETypeInfo[] memory infos) {
        ids = _typeIds;
        infos = new TEETypeInfo[](ids.length);
        for (uint256 i; i < ids.length; ++i) infos[i] = _types[ids[i]];
    }

    /// @inheritdoc IEnclaveRegistry
    function heartbeatMaxAge() public view returns (uint256) {
        return _heartbeatMaxAge;
    }

    /// @inheritdoc IEnclaveRegistry
    function isValidTEEType(uint8 teeType) public view returns (bool) {
        return _types[teeType].addedAt != 0;
    }

    /// @inheritdoc IEnclaveRegistry
    function computePCRHash(PCRMeasurements calldata pcrs) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(pcrs.pcr0, pcrs.pcr1, pcrs.pcr2));
    }

    /// Index of an image that may be attested.
    function _approvedImage(bytes32 pcrHash, uint8 teeType) internal view returns (uint256) {
        uint256 number = _imageNumbers[teeType][pcrHash];
        require(number != 0 && _images[number - 1].revokedAt == 0, PCRNotApproved(pcrHash, teeType));
        return number - 1;
    }

    function _verifierInUse(uint256 index) internal view returns (AttestationVerifier storage v) {
        require(index < _verifiers.length && _verifiers[index].removedAt == 0, VerifierNotInUse(index));
        return _verifiers[index];
    }

    /// When image or verifier was revoked, whichever was first; beyond all times while both are good.
    function _revokedAt(uint256 image, uint256 verifier) internal view returns (uint256) {
        (uint256 a, uint256 b) = (_images[image].revokedAt, _verifiers[verifier].removedAt);
        if (a == 0) a = type(uint256).max;
        if (b == 0) b = type(uint256).max;
        return a < b ? a : b;
    }

    function _addType(uint8 teeType, string memory name) private {
        _types[teeType] = TEETypeInfo(name, block.timestamp);
        _typeIds.push(teeType);
        emit TEETypeAdded(teeType, name);
    }

    /// Debug mode measures everything as zero.
    function _requireMeasured(uint256 index, bytes calldata pcr) private pure {
        require(pcr.length == PCR_LENGTH && (bytes32(pcr) | bytes32(pcr[16:])) != 0, InvalidPCR(index, pcr.length));
    }
}
