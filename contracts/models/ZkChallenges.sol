// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VerifierVotes} from "../settlement/VerifierVotes.sol";
import {INodeStaking, Role} from "../staking/INodeStaking.sol";
import {CommitmentSum} from "../zkml/CommitmentSum.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {IZkVersions, Shape, ZkChallenge, ZkManifest, ZkStatus} from "./IZkVersions.sol";
import {ZkVersions} from "./ZkVersions.sol";

/// @title Proofs that a commitment is wrong
/// @notice See `IZkVersions.accumulateZk`.
/// @dev A commitment that is right cannot be proven wrong: the manifest is the version's own, its hash fixes every weight, the shape's
/// hash every base.
abstract contract ZkChallenges is ZkVersions {
    uint256 private constant ENTRY_BYTES = 4;
    uint256 private constant POINT_BYTES = 64;

    mapping(bytes32 modelId => mapping(address challenger => ZkChallenge)) private _challenges;

    /// @inheritdoc IZkVersions
    function accumulateZk(
        bytes32 modelId,
        ZkManifest calldata manifest,
        uint256 from,
        bytes calldata weights,
        bytes calldata bases
    ) external nonReentrant {
        IModelRegistry.Version storage v = _versionOf(modelId);
        ZkStatus status = v.zkStatus;
        require(status != ZkStatus.None && status != ZkStatus.Wrong, WrongZkStatus(status));
        _requireManifest(v.contentHash, manifest);
        Shape memory s = _shapes[manifest.shape];
        _requireChunks(from, s.slots, weights, bases);

        ZkChallenge memory c = _challenges[modelId][msg.sender];
        if (from == 0) {
            (uint256 x, uint256 y) = s.verifier.origin();
            c = ZkChallenge(x, y, 0, 0, 0, false);
        }
        require(c.entries == from, WrongPosition(c.entries, from));
        bool outOfRange;
        (c.x, c.y, outOfRange) = CommitmentSum.add(c.x, c.y, s.verifier.dims(), from, weights, bases);
        c.outOfRange = c.outOfRange || outOfRange;
        c.weightsHash = CommitmentSum.hashOn(c.weightsHash, weights, ENTRY_BYTES);
        c.basesHash = CommitmentSum.hashOn(c.basesHash, bases, POINT_BYTES);
        c.entries = uint32(from + weights.length / ENTRY_BYTES);
        emit ZkAccumulated(modelId, msg.sender, c.entries);
        if (c.entries < s.slots) {
            _challenges[modelId][msg.sender] = c;
            return;
        }
        delete _challenges[modelId][msg.sender];

        require(c.weightsHash == manifest.weightsHash, WeightsMismatch(manifest.weightsHash, c.weightsHash));
        bytes32 basesHash = s.verifier.basesHash();
        require(c.basesHash == basesHash, BasesMismatch(basesHash, c.basesHash));
        Point memory m = _commitments[modelId];
        require(c.outOfRange || c.x != m.x || c.y != m.y, CommitmentHolds(modelId));
        _punish(modelId, v);
    }

    /// @inheritdoc IZkVersions
    function zkChallenge(bytes32 modelId, address challenger) external view returns (ZkChallenge memory) {
        return _challenges[modelId][challenger];
    }

    /// Whole chunks, or all that is left; as many points as entries.
    function _requireChunks(uint256 from, uint256 slots, bytes calldata weights, bytes calldata bases) private pure {
        uint256 count = weights.length / ENTRY_BYTES;
        require(from < slots && count <= slots - from, WrongPosition(slots, from + count));
        uint256 expected = count % CommitmentSum.CHUNK == 0 && count != 0 ? count : slots - from;
        require(weights.length == expected * ENTRY_BYTES, InvalidChunk(expected * ENTRY_BYTES, weights.length));
        require(bases.length == expected * POINT_BYTES, InvalidChunk(expected * POINT_BYTES, bases.length));
    }

    function _punish(bytes32 modelId, IModelRegistry.Version storage v) private {
        (ZkStatus status, uint256 repositoryId) = (v.zkStatus, v.repositoryId);
        bool votersAnswer = status == ZkStatus.Attested && block.timestamp <= v.zkSince + _accountability;
        v.zkStatus = ZkStatus.Wrong;
        v.modes &= ~ZKML;
        delete _commitments[modelId];
        uint256 reward;
        uint256 burned;
        if (status != ZkStatus.Released) {
            _forfeit(repositoryId);
            reward = (_bond * _rewardBps) / BPS;
            burned = _bond - reward;
        }
        uint256 slashed = votersAnswer ? _slashVoters(_approvals[modelId]) : 0;
        emit ZkProvenWrong(modelId, msg.sender, reward, slashed);
        if (reward != 0) token.transfer(msg.sender, reward);
        if (burned != 0) token.burn(burned);
    }

    /// The challenger's part of this waits for it in the staking contract.
    function _slashVoters(Approval memory approval) private returns (uint256) {
        (address code, , ) = verifierSets.snapshots(approval.setId);
        (uint256 count, uint256 table, ) = VerifierVotes.load(code);
        INodeStaking.SlashTarget[] memory targets = new INodeStaking.SlashTarget[](
            VerifierVotes.countOf(approval.seats)
        );
        uint256 next;
        for (uint256 seat; next < targets.length; ++seat) {
            if ((approval.seats >> seat) & 1 == 0) continue;
            targets[next++] = INodeStaking.SlashTarget(
                VerifierVotes.operatorOf(code, count, seat),
                Role.Verifier,
                (VerifierVotes.stakeOf(table, seat) * _voterSlashBps) / BPS
            );
        }
        return staking.slash(targets, msg.sender, _rewardBps);
    }
}
