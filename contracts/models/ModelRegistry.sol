// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IVerifierSnapshots} from "../settlement/IVerifierSnapshots.sol";
import {INodeStaking} from "../staking/INodeStaking.sol";
import {OPG} from "../token/OPG.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {ZkStatus, ZkTerms} from "./IZkVersions.sol";
import {Shapes} from "./Shapes.sol";
import {ZkChallenges} from "./ZkChallenges.sol";
import {ZkVersions} from "./ZkVersions.sol";

/// @title Models and their versions
/// @notice See `IModelRegistry` and `IZkVersions`. The owner of this contract adds and retires network shapes; it has no say in anything else.
contract ModelRegistry is IModelRegistry, ZkChallenges {
    uint256 private constant MAX_NAME_LENGTH = 128;
    uint256 private constant MAX_ROYALTY_BPS = 2_000;
    uint96 private constant GWEI = 1e9;
    /// VANILLA and TEE; a version becomes usable in mode ZKML only by a checked commitment.
    uint8 private constant DECLARABLE_MODES = 5;

    /// @inheritdoc IModelRegistry
    uint256 public repositoryCount;

    /// @inheritdoc IModelRegistry
    mapping(uint256 repositoryId => mapping(uint256 number => bytes32)) public modelIdOf;
    mapping(uint256 repositoryId => Repository) private _repositories;
    mapping(bytes32 modelId => Version) private _versions;
    mapping(bytes32 nameKey => bool) private _nameTaken;

    constructor(
        OPG token_,
        INodeStaking staking_,
        IVerifierSnapshots verifierSets_,
        address owner_,
        ZkTerms memory zk
    ) Shapes(owner_) ZkVersions(token_, staking_, verifierSets_, zk) EIP712("OpenGradient", "1") {}

    /// @inheritdoc IModelRegistry
    function createRepository(
        string calldata name,
        string calldata licence,
        string calldata metadataUri
    ) external returns (uint256 repositoryId) {
        uint256 length = bytes(name).length;
        require(length != 0 && length <= MAX_NAME_LENGTH, InvalidName(length, MAX_NAME_LENGTH));
        bytes32 nameKey = keccak256(abi.encode(msg.sender, name));
        require(!_nameTaken[nameKey], NameTaken(msg.sender, name));
        _nameTaken[nameKey] = true;

        repositoryId = ++repositoryCount;
        _repositories[repositoryId] = Repository(
            msg.sender,
            0,
            uint40(block.timestamp),
            address(0),
            name,
            licence,
            metadataUri
        );
        emit RepositoryCreated(repositoryId, msg.sender, name, licence, metadataUri);
    }

    /// @inheritdoc IModelRegistry
    function publishVersion(uint256 repositoryId, VersionTerms calldata terms) external returns (bytes32 modelId) {
        Repository storage repo = _repositories[repositoryId];
        _requireOwner(repo.owner);
        require(terms.contentHash != 0, MissingContentHash());
        require(terms.royaltyBps <= MAX_ROYALTY_BPS, RoyaltyTooHigh(terms.royaltyBps, MAX_ROYALTY_BPS));
        require(terms.price % GWEI == 0 && terms.price / GWEI <= type(uint64).max, InvalidPrice(terms.price));
        require(terms.modes != 0 && terms.modes & ~DECLARABLE_MODES == 0, InvalidModes(terms.modes, DECLARABLE_MODES));

        uint32 number = ++repo.versions;
        modelId = keccak256(
            abi.encode(block.chainid, address(this), repositoryId, number, terms.contentHash, terms.blobId)
        );
        modelIdOf[repositoryId][number] = modelId;
        _versions[modelId] = Version({
            royaltyTo: msg.sender,
            priceGwei: uint64(terms.price / GWEI),
            royaltyBps: terms.royaltyBps,
            modes: terms.modes,
            repositoryId: uint64(repositoryId),
            publishedAt: uint40(block.timestamp),
            number: number,
            zkStatus: ZkStatus.None,
            zkShape: 0,
            zkSince: 0,
            contentHash: terms.contentHash,
            blobId: terms.blobId
        });
        emit VersionPublished(
            modelId,
            repositoryId,
            number,
            terms.contentHash,
            terms.blobId,
            terms.price,
            terms.royaltyBps,
            terms.modes
        );
    }

    /// @inheritdoc IModelRegistry
    function assignRoyalty(bytes32 modelId, address to) external {
        address receiver = _versions[modelId].royaltyTo;
        require(msg.sender == receiver, NotRoyaltyReceiver(msg.sender, receiver));
        require(to != address(0), InvalidRoyaltyReceiver());
        _versions[modelId].royaltyTo = to;
        emit RoyaltyAssigned(modelId, receiver, to);
    }

    /// @inheritdoc IModelRegistry
    function offerOwnership(uint256 repositoryId, address to) external {
        Repository storage repo = _repositories[repositoryId];
        _requireOwner(repo.owner);
        repo.pendingOwner = to;
        emit OwnershipOffered(repositoryId, msg.sender, to);
    }

    /// @inheritdoc IModelRegistry
    function acceptOwnership(uint256 repositoryId) external {
        Repository storage repo = _repositories[repositoryId];
        address pending = repo.pendingOwner;
        require(msg.sender == pending, NotPendingOwner(msg.sender, pending));
        address previous = repo.owner;
        repo.owner = msg.sender;
        repo.pendingOwner = address(0);
        emit OwnershipAccepted(repositoryId, previous, msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function termsOf(
        bytes32 modelId
    ) external view returns (address royaltyTo, uint16 royaltyBps, uint96 price, uint8 modes) {
        Version storage v = _versions[modelId];
        royaltyTo = v.royaltyTo;
        require(royaltyTo != address(0), ModelNotFound(modelId));
        return (royaltyTo, v.royaltyBps, v.priceGwei * GWEI, v.modes);
    }

    /// @inheritdoc IModelRegistry
    function version(bytes32 modelId) external view returns (Version memory) {
        return _versions[modelId];
    }

    /// @inheritdoc IModelRegistry
    function repository(uint256 repositoryId) external view returns (Repository memory) {
        return _repositories[repositoryId];
    }

    function _versionOf(bytes32 modelId) internal view override returns (Version storage) {
        return _versions[modelId];
    }

    function _ownerOf(uint256 repositoryId) internal view override returns (address) {
        return _repositories[repositoryId].owner;
    }
}
