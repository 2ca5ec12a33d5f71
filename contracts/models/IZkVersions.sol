// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IShapeVerifier} from "../zkml/IShapeVerifier.sol";

/// @notice What a zk model is. Its hash is the `contentHash` of the version.
struct ZkManifest {
    /// keccak256 of the ONNX file
    bytes32 onnxHash;
    /// hash chain over the model vector: h ← keccak256(h ‖ chunk) from zero, chunks of 128 entries, each a big-endian int32
    bytes32 weightsHash;
    /// number of its shape
    uint16 shape;
    /// lanes in use, of those the shape has
    uint16 inputs;
    uint16 outputs;
    /// a real number x is the integer x · 2^scale
    uint8 inputScale;
    uint8 outputScale;
}

/// @notice Where a version stands. Only `Attested` and `Released` ones can be used in mode ZKML.
enum ZkStatus {
    None,
    /// its owner put a commitment down, with a bond
    Registered,
    /// verifiers with 2/3 of the stake of a set recomputed the commitment
    Attested,
    /// attested, and the time in which bond and voters answer for it has passed
    Released,
    /// proven wrong on chain; final
    Wrong
}

/// @notice What was registered for a version.
struct ZkVersion {
    ZkStatus status;
    uint16 shape;
    /// unix seconds: of the registration, since the attestation of that
    uint40 since;
    /// verifier set that attested it, and the seats that did, a bit each
    uint32 setId;
    uint40 approvals;
    /// commitment
    uint256 x;
    uint256 y;
}

/// @notice How commitments are vouched for; fixed at deployment.
struct ZkTerms {
    /// wei of OPG locked for each registration
    uint96 bond;
    /// seconds after the attestation in which bond and voters answer for it
    uint32 accountability;
    /// seconds until a registration that nobody attested may be withdrawn
    uint32 withdrawalDelay;
    /// challenger's part of the bond and of what is slashed, basis points; the rest is burned
    uint16 rewardBps;
    /// what a verifier loses for approving a wrong commitment, basis points of the stake its vote weighed
    uint16 voterSlashBps;
}

/// @notice A network shape.
/// @dev slot: verifier 160 | slots 32 | inputs 16 | outputs 16 | inputWords 8 | outputWords 8 | retired 8
struct Shape {
    IShapeVerifier verifier;
    /// length of a model vector
    uint32 slots;
    /// lanes of the input and the output tensor, and the words they are packed into
    uint16 inputs;
    uint16 outputs;
    uint8 inputWords;
    uint8 outputWords;
    bool retired;
}

/// @notice What a proof for a version is checked with.
struct ZkCommitment {
    IShapeVerifier verifier;
    uint256 x;
    uint256 y;
    uint256 inputWords;
    uint256 outputWords;
}

/// @notice A commitment on its way to be recomputed on chain.
/// @dev slots: x, y, weightsHash, basesHash, entries 32 | outOfRange 8
struct ZkChallenge {
    uint256 x;
    uint256 y;
    bytes32 weightsHash;
    bytes32 basesHash;
    uint32 entries;
    bool outOfRange;
}

/// @title Versions whose answers can be proven
/// @notice A version's owner registers the commitment to its weights, with a bond. Verifiers recompute it from the published blob and
/// vote; with 2/3 of a set's stake the version can be used in mode ZKML. Whoever recomputes it on chain and finds another point ends
/// that for ever, is paid from the bond, and has the verifiers slashed that approved it.
/// @dev Nobody but verifiers looks for the weights: a set of which 2/3 conspire could attest a `weightsHash` of nothing, and no challenge
/// could show it.
interface IZkVersions {
    event ShapeAdded(uint256 indexed shape, IShapeVerifier verifier, bytes32 keyHash);
    event ShapeRetired(uint256 indexed shape);
    event ZkBondDeposited(uint256 indexed repositoryId, address indexed from, uint256 amount);
    event ZkBondWithdrawn(uint256 indexed repositoryId, address indexed to, uint256 amount);
    event ZkRegistered(
        bytes32 indexed modelId,
        uint256 indexed repositoryId,
        ZkManifest manifest,
        uint256 x,
        uint256 y
    );
    event ZkAttested(bytes32 indexed modelId, uint256 indexed setId, uint256 approvals);
    event ZkWithdrawn(bytes32 indexed modelId);
    event ZkBondReleased(bytes32 indexed modelId);
    event ZkAccumulated(bytes32 indexed modelId, address indexed challenger, uint256 entries);
    event ZkProvenWrong(bytes32 indexed modelId, address indexed challenger, uint256 reward, uint256 slashed);

    error InvalidZkTerms();
    error RepositoryNotFound(uint256 repositoryId);
    error InvalidShape(IShapeVerifier verifier);
    error DevelopmentKey(uint256 chainId);
    error ShapeKnown(bytes32 keyHash);
    error ShapeNotUsable(uint256 shape);
    error InsufficientBond(uint256 available, uint256 required);
    error ManifestMismatch(bytes32 expected, bytes32 actual);
    error ManifestOutOfShape(uint256 inputs, uint256 outputs);
    error InvalidCommitment(uint256 x, uint256 y);
    error WrongZkStatus(ZkStatus actual);
    error ZkNotUsable(bytes32 modelId, ZkStatus status);
    error QuorumMissed(uint256 approving, uint256 total);
    error TooEarly(uint256 until);
    error WrongPosition(uint256 expected, uint256 actual);
    error InvalidChunk(uint256 expected, uint256 actual);
    error WeightsMismatch(bytes32 expected, bytes32 actual);
    error BasesMismatch(bytes32 expected, bytes32 actual);
    error CommitmentHolds(bytes32 modelId);

    /// @notice Adds a shape; it gets the next number, from 1. Owner only. Keys of a development setup are for local chains.
    function addShape(IShapeVerifier verifier) external returns (uint256 shape);

    /// @notice Ends a shape whose key has become known to somebody: no model of it can be registered, attested or used any more. Owner
    /// only; cannot be undone.
    function retireShape(uint256 shape) external;

    /// @notice Adds to the bonds of a repository, which belong to whoever owns it. Needs an allowance.
    /// @param amount wei of OPG.
    function depositZkBond(uint256 repositoryId, uint256 amount) external;

    /// @notice Takes back bonds that nothing holds. The repository's owner only.
    function withdrawZkBond(uint256 repositoryId, uint256 amount, address to) external;

    /// @notice Registers the commitment of a version, and locks a bond. The repository's owner only. A registration that was
    /// withdrawn may be made again; one that was proven wrong may not.
    /// @param manifest what the version's `contentHash` is the hash of.
    function registerZk(bytes32 modelId, ZkManifest calldata manifest, uint256 x, uint256 y) external;

    /// @notice Makes a registered version usable in mode ZKML by the votes of a verifier set. Anyone.
    /// @param setId a set that new batches may name too.
    /// @param seats bitmap of the seats whose signatures follow.
    /// @param signatures 64 bytes (r ‖ vs) over `ZkCommitment` for each bit, lowest seat first.
    function attestZk(bytes32 modelId, uint256 setId, uint256 seats, bytes calldata signatures) external;

    /// @notice Takes a registration back that nobody attested, `withdrawalDelay` after it was made. The repository's owner only.
    function withdrawZk(bytes32 modelId) external;

    /// @notice Frees the bond of a version, `accountability` after it was attested. Anyone.
    function releaseZkBond(bytes32 modelId) external;

    /// @notice Recomputes a commitment, step by step, in a state of the caller's own, to prove it wrong. Call it with as many chunks as
    /// a transaction holds (about 8,200 gas an entry) until all are through; the last step punishes, or reverts when the commitment is right.
    /// @dev Registered, attested and released versions can be proven wrong. The bond answers until it is released, voters for as long as
    /// `accountability` lasts; after that a wrong version is only ended. Steps are public: somebody who takes the same ones at the same
    /// cost may come first with the last.
    /// @param from number of entries done before; zero begins anew.
    /// @param weights entries of the model vector from there, as the manifest hashes them. All but the last chunk of the vector are whole.
    /// @param bases their points, as `basesHash` of the shape hashes them.
    function accumulateZk(
        bytes32 modelId,
        ZkManifest calldata manifest,
        uint256 from,
        bytes calldata weights,
        bytes calldata bases
    ) external;

    /// @notice What a proof for a version is checked with. Reverts for one that cannot be used.
    function zkCommitment(bytes32 modelId) external view returns (ZkCommitment memory);

    /// @notice Whether a version can be used in mode ZKML.
    function isZkUsable(bytes32 modelId) external view returns (bool);

    /// @notice What was registered for a version; all zero when nothing was.
    function zkVersion(bytes32 modelId) external view returns (ZkVersion memory);

    /// @notice How far a challenger is with a version.
    function zkChallenge(bytes32 modelId, address challenger) external view returns (ZkChallenge memory);

    /// @notice Bonds of a repository, wei of OPG: those nothing holds, and those of its registrations.
    function zkBonds(uint256 repositoryId) external view returns (uint256 free, uint256 locked);

    /// @notice How commitments are vouched for.
    function zkTerms() external view returns (ZkTerms memory);

    /// @notice A shape; all zero when there is none.
    function shape(uint256 number) external view returns (Shape memory);

    /// @notice Shapes are numbered from 1 to this.
    function shapeCount() external view returns (uint256);

    /// @notice What a verifier signs to approve a version's commitment, for a set.
    function zkCommitmentDigest(bytes32 modelId, uint256 setId) external view returns (bytes32);
}
