// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IVerifierSnapshots} from "../settlement/IVerifierSnapshots.sol";
import {VerifierVotes} from "../settlement/VerifierVotes.sol";
import {INodeStaking} from "../staking/INodeStaking.sol";
import {OPG} from "../token/OPG.sol";
import {Bn254} from "../zkml/Bn254.sol";
import {IShapeVerifier} from "../zkml/IShapeVerifier.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {IZkVersions, Shape, ZkCommitment, ZkManifest, ZkStatus, ZkTerms, ZkVersion} from "./IZkVersions.sol";
import {Shapes} from "./Shapes.sol";

/// @title Versions whose answers can be proven
/// @notice See `IZkVersions`; `ZkChallenges` has what proves one wrong.
abstract contract ZkVersions is Shapes, EIP712, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @dev slot: free 128 | locked 128, wei of OPG
    struct Bonds {
        uint128 free;
        uint128 locked;
    }

    /// @dev slot: setId 32 | seats 40
    struct Approval {
        uint32 setId;
        uint40 seats;
    }

    struct Point {
        uint256 x;
        uint256 y;
    }

    bytes32 private constant COMMITMENT_TYPEHASH = keccak256(
        "ZkCommitment(bytes32 modelId,uint256 x,uint256 y,uint32 setId)"
    );
    /// Bit of `Version.modes`.
    uint8 internal constant ZKML = 2;
    uint256 internal constant BPS = 10_000;
    uint256 private constant MAX_REWARD_BPS = 2_000;
    uint256 private constant MAX_WITHDRAWAL_DELAY = 30 days;
    /// Time to bring a challenge on chain before the stake that answers for it can leave.
    uint256 private constant UNBONDING_MARGIN = 1 hours;

    OPG public immutable token;
    INodeStaking public immutable staking;
    /// @notice Whose verifier sets vote.
    IVerifierSnapshots public immutable verifierSets;
    uint256 internal immutable _bond;
    uint256 internal immutable _accountability;
    uint256 internal immutable _withdrawalDelay;
    uint256 internal immutable _rewardBps;
    uint256 internal immutable _voterSlashBps;

    mapping(uint256 repositoryId => Bonds) private _bonds;
    mapping(bytes32 modelId => Point) internal _commitments;
    mapping(bytes32 modelId => Approval) internal _approvals;

    constructor(OPG token_, INodeStaking staking_, IVerifierSnapshots verifierSets_, ZkTerms memory t) {
        (token, staking, verifierSets) = (token_, staking_, verifierSets_);
        // stake answers for a vote from the oldest set that may cast it until the accountability ends
        require(
            t.bond != 0 &&
                t.rewardBps <= MAX_REWARD_BPS &&
                t.voterSlashBps <= BPS &&
                t.accountability != 0 &&
                VerifierVotes.MAX_SET_AGE + t.accountability + UNBONDING_MARGIN <= staking_.unbonding() &&
                t.withdrawalDelay <= MAX_WITHDRAWAL_DELAY,
            InvalidZkTerms()
        );
        (_bond, _accountability, _withdrawalDelay) = (t.bond, t.accountability, t.withdrawalDelay);
        (_rewardBps, _voterSlashBps) = (t.rewardBps, t.voterSlashBps);
    }

    /// @inheritdoc IZkVersions
    function depositZkBond(uint256 repositoryId, uint256 amount) external nonReentrant {
        require(_ownerOf(repositoryId) != address(0), RepositoryNotFound(repositoryId));
        Bonds storage bonds = _bonds[repositoryId];
        bonds.free = (bonds.free + amount).toUint128();
        emit ZkBondDeposited(repositoryId, msg.sender, amount);
        token.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IZkVersions
    function withdrawZkBond(uint256 repositoryId, uint256 amount, address to) external nonReentrant {
        _requireOwner(_ownerOf(repositoryId));
        Bonds storage bonds = _bonds[repositoryId];
        uint256 available = bonds.free;
        require(amount <= available, InsufficientBond(available, amount));
        bonds.free = uint128(available - amount);
        emit ZkBondWithdrawn(repositoryId, to, amount);
        token.transfer(to, amount);
    }

    /// @inheritdoc IZkVersions
    function registerZk(bytes32 modelId, ZkManifest calldata manifest, uint256 x, uint256 y) external {
        IModelRegistry.Version storage v = _versionOf(modelId);
        uint256 repositoryId = v.repositoryId;
        _requireOwner(_ownerOf(repositoryId));
        _requireStatus(v.zkStatus, ZkStatus.None);
        _requireManifest(v.contentHash, manifest);
        Shape memory s = _usableShape(manifest.shape);
        (uint256 inputs, uint256 outputs) = (manifest.inputs, manifest.outputs);
        require(
            inputs != 0 && outputs != 0 && inputs <= s.inputs && outputs <= s.outputs,
            ManifestOutOfShape(inputs, outputs)
        );
        // nor the identity, which no weights that anybody can find sum up to
        require(Bn254.isPoint(x, y), InvalidCommitment(x, y));
        Bonds storage bonds = _bonds[repositoryId];
        uint256 available = bonds.free;
        require(available >= _bond, InsufficientBond(available, _bond));
        (bonds.free, bonds.locked) = (uint128(available - _bond), (bonds.locked + _bond).toUint128());

        (v.zkStatus, v.zkShape, v.zkSince) = (ZkStatus.Registered, manifest.shape, uint40(block.timestamp));
        _commitments[modelId] = Point(x, y);
        emit ZkRegistered(modelId, repositoryId, manifest, x, y);
    }

    /// @inheritdoc IZkVersions
    function attestZk(bytes32 modelId, uint256 setId, uint256 seats, bytes calldata signatures) external {
        IModelRegistry.Version storage v = _versionOf(modelId);
        _requireStatus(v.zkStatus, ZkStatus.Registered);
        _usableShape(v.zkShape);
        (address code, uint256 takenAt, uint256 supersededAt) = verifierSets.snapshots(setId);
        (uint256 count, uint256 table, uint256 total) = VerifierVotes.load(
            VerifierVotes.usableCode(setId, code, takenAt, supersededAt)
        );
        VerifierVotes.requireVotes(zkCommitmentDigest(modelId, setId), count, table, seats, signatures);
        uint256 approving = VerifierVotes.stakeBehind(table, seats);
        require(approving * 3 >= total * 2, QuorumMissed(approving, total));

        (v.zkStatus, v.zkSince) = (ZkStatus.Attested, uint40(block.timestamp));
        v.modes |= ZKML;
        // a set has at most 40 seats, and a set that exists has a number of 32 bits
        _approvals[modelId] = Approval(uint32(setId), uint40(seats));
        emit ZkAttested(modelId, setId, seats);
    }

    /// @inheritdoc IZkVersions
    function withdrawZk(bytes32 modelId) external {
        IModelRegistry.Version storage v = _versionOf(modelId);
        _requireOwner(_ownerOf(v.repositoryId));
        _requireStatus(v.zkStatus, ZkStatus.Registered);
        _requirePassed(v.zkSince + _withdrawalDelay);
        (v.zkStatus, v.zkShape, v.zkSince) = (ZkStatus.None, 0, 0);
        delete _commitments[modelId];
        _unlock(v.repositoryId);
        emit ZkWithdrawn(modelId);
    }

    /// @inheritdoc IZkVersions
    function releaseZkBond(bytes32 modelId) external {
        IModelRegistry.Version storage v = _versionOf(modelId);
        _requireStatus(v.zkStatus, ZkStatus.Attested);
        _requirePassed(v.zkSince + _accountability);
        v.zkStatus = ZkStatus.Released;
        _unlock(v.repositoryId);
        emit ZkBondReleased(modelId);
    }

    /// @inheritdoc IZkVersions
    function zkCommitment(bytes32 modelId) external view returns (ZkCommitment memory) {
        IModelRegistry.Version storage v = _versionOf(modelId);
        (ZkStatus status, uint256 number) = (v.zkStatus, v.zkShape);
        require(_isUsable(status), ZkNotUsable(modelId, status));
        Shape storage s = _shapes[number];
        (IShapeVerifier verifier, uint256 inputWords, uint256 outputWords) = (s.verifier, s.inputWords, s.outputWords);
        require(!s.retired, ShapeNotUsable(number));
        Point storage m = _commitments[modelId];
        return ZkCommitment(verifier, m.x, m.y, inputWords, outputWords);
    }

    /// @inheritdoc IZkVersions
    function isZkUsable(bytes32 modelId) external view returns (bool) {
        IModelRegistry.Version storage v = _versionOf(modelId);
        return _isUsable(v.zkStatus) && !_shapes[v.zkShape].retired;
    }

    /// @inheritdoc IZkVersions
    function zkVersion(bytes32 modelId) external view returns (ZkVersion memory) {
        IModelRegistry.Version storage v = _versionOf(modelId);
        Approval memory approval = _approvals[modelId];
        Point memory m = _commitments[modelId];
        return ZkVersion(v.zkStatus, v.zkShape, v.zkSince, approval.setId, approval.seats, m.x, m.y);
    }

    /// @inheritdoc IZkVersions
    function zkBonds(uint256 repositoryId) external view returns (uint256 free, uint256 locked) {
        Bonds memory bonds = _bonds[repositoryId];
        return (bonds.free, bonds.locked);
    }

    /// @inheritdoc IZkVersions
    function zkTerms() external view returns (ZkTerms memory) {
        return
            ZkTerms(
                uint96(_bond),
                uint32(_accountability),
                uint32(_withdrawalDelay),
                uint16(_rewardBps),
                uint16(_voterSlashBps)
            );
    }

    /// @inheritdoc IZkVersions
    function zkCommitmentDigest(bytes32 modelId, uint256 setId) public view returns (bytes32) {
        Point memory m = _commitments[modelId];
        return _hashTypedDataV4(keccak256(abi.encode(COMMITMENT_TYPEHASH, modelId, m.x, m.y, uint32(setId))));
    }

    function _versionOf(bytes32 modelId) internal view virtual returns (IModelRegistry.Version storage);

    /// Zero for a repository that does not exist.
    function _ownerOf(uint256 repositoryId) internal view virtual returns (address);

    /// A repository that does not exist has no owner, and nobody calls from there.
    function _requireOwner(address owner_) internal view {
        require(msg.sender == owner_, IModelRegistry.NotRepositoryOwner(msg.sender, owner_));
    }

    /// A version's content hash is that of its manifest, so nobody can present another one.
    function _requireManifest(bytes32 contentHash, ZkManifest calldata manifest) internal pure {
        bytes32 actual = keccak256(abi.encode(manifest));
        require(actual == contentHash, ManifestMismatch(contentHash, actual));
    }

    /// Takes the bond of a registration out of its repository's account.
    function _forfeit(uint256 repositoryId) internal {
        _bonds[repositoryId].locked -= uint128(_bond);
    }

    function _unlock(uint256 repositoryId) private {
        Bonds storage bonds = _bonds[repositoryId];
        (uint256 available, uint256 locked) = (bonds.free, bonds.locked);
        (bonds.free, bonds.locked) = ((available + _bond).toUint128(), uint128(locked - _bond));
    }

    function _requireStatus(ZkStatus actual, ZkStatus expected) private pure {
        require(actual == expected, WrongZkStatus(actual));
    }

    function _requirePassed(uint256 until) private view {
        require(block.timestamp > until, TooEarly(until));
    }

    function _isUsable(ZkStatus status) private pure returns (bool) {
        return status == ZkStatus.Attested || status == ZkStatus.Released;
    }
}
