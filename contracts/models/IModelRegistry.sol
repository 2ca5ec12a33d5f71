// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ZkStatus} from "./IZkVersions.sol";

/// @title Models and their versions
/// @notice A repository has an owner, who can hand it over; its versions never change. Receipts name a version: `modelId` is a
/// hash over the content, so it stands for the same bytes on every chain view.
interface IModelRegistry {
    /// @dev slot 0: owner 160 | versions 32 | createdAt 40; slot 1: pendingOwner 160; then the strings
    struct Repository {
        address owner;
        uint32 versions;
        uint40 createdAt;
        address pendingOwner;
        string name;
        string licence;
        string metadataUri;
    }

    /// @dev slot 0, which is all that settlement and escrow read: royaltyTo 160 | priceGwei 64 | royaltyBps 16 | modes 8;
    /// slot 1: repositoryId 64 | publishedAt 40 | number 32 | zkStatus 8 | zkShape 16 | zkSince 40; then contentHash, blobId
    struct Version {
        /// receives the royalty: the repository's owner when the version was published, or who it was assigned to since
        address royaltyTo;
        /// least fee of one inference, gwei of OPG
        uint64 priceGwei;
        /// part of every fee, basis points
        uint16 royaltyBps;
        /// bit 0 VANILLA, bit 1 ZKML, bit 2 TEE
        uint8 modes;
        uint64 repositoryId;
        uint40 publishedAt;
        uint32 number;
        /// see `IZkVersions.zkVersion`
        ZkStatus zkStatus;
        uint16 zkShape;
        uint40 zkSince;
        /// keccak256 of the model file, or of the manifest of its files
        bytes32 contentHash;
        /// Walrus id of the same bytes; zero for a model that is not published
        bytes32 blobId;
    }

    /// @notice What the owner of a repository sets once for a version.
    struct VersionTerms {
        bytes32 contentHash;
        bytes32 blobId;
        /// wei of OPG, whole gwei
        uint96 price;
        uint16 royaltyBps;
        uint8 modes;
    }

    event RepositoryCreated(
        uint256 indexed repositoryId,
        address indexed owner,
        string name,
        string licence,
        string metadataUri
    );
    event VersionPublished(
        bytes32 indexed modelId,
        uint256 indexed repositoryId,
        uint256 number,
        bytes32 contentHash,
        bytes32 blobId,
        uint256 price,
        uint256 royaltyBps,
        uint256 modes
    );
    event RoyaltyAssigned(bytes32 indexed modelId, address indexed from, address indexed to);
    event OwnershipOffered(uint256 indexed repositoryId, address indexed owner, address indexed pendingOwner);
    event OwnershipAccepted(uint256 indexed repositoryId, address indexed previousOwner, address indexed owner);

    error NameTaken(address owner, string name);
    error InvalidName(uint256 length, uint256 maximum);
    error NotRepositoryOwner(address caller, address owner);
    error NotPendingOwner(address caller, address pendingOwner);
    error InvalidModes(uint8 modes, uint8 allowed);
    error RoyaltyTooHigh(uint256 royaltyBps, uint256 maximum);
    error InvalidPrice(uint256 price);
    error InvalidRoyaltyReceiver();
    error NotRoyaltyReceiver(address caller, address receiver);
    error MissingContentHash();
    error ModelNotFound(bytes32 modelId);

    /// @notice Creates a repository of the caller.
    /// @param name unique among the caller's, at most 128 bytes.
    /// @param licence SPDX identifier or URI.
    /// @param metadataUri description, task, tags; may be empty.
    function createRepository(
        string calldata name,
        string calldata licence,
        string calldata metadataUri
    ) external returns (uint256 repositoryId);

    /// @notice Publishes the next version; nothing of it can be changed afterwards. The repository's owner only.
    /// @return modelId hash of chain, registry, repository, number, content hash and blob id.
    function publishVersion(uint256 repositoryId, VersionTerms calldata terms) external returns (bytes32 modelId);

    /// @notice Hands the royalties of a version over. Their receiver only. Requests that are locked in escrow keep theirs.
    function assignRoyalty(bytes32 modelId, address to) external;

    /// @notice Offers a repository, with the right to publish, to somebody, who must accept. Royalties of published versions stay
    /// where they are. Zero withdraws an offer.
    function offerOwnership(uint256 repositoryId, address to) external;

    /// @notice Takes over a repository that was offered to the caller.
    function acceptOwnership(uint256 repositoryId) external;

    /// @notice What settlement and escrow need of a model. Reverts for an unknown one.
    /// @return royaltyTo receives the royalty.
    /// @return royaltyBps its part of a fee, basis points.
    /// @return price least fee, wei of OPG.
    /// @return modes bitmap as in `Version`.
    function termsOf(
        bytes32 modelId
    ) external view returns (address royaltyTo, uint16 royaltyBps, uint96 price, uint8 modes);

    /// @notice A version; all zero when there is none.
    function version(bytes32 modelId) external view returns (Version memory);

    /// @notice A repository; all zero when there is none.
    function repository(uint256 repositoryId) external view returns (Repository memory);

    /// @notice The id of a version by its repository and number (from 1); zero when there is none.
    function modelIdOf(uint256 repositoryId, uint256 number) external view returns (bytes32);

    /// @notice Repositories are numbered from 1 to this.
    function repositoryCount() external view returns (uint256);
}
