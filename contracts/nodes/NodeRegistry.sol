// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {INodeStaking, Role} from "../staking/INodeStaking.sol";
import {EnclaveReads} from "./EnclaveReads.sol";
import {Enclave} from "./IEnclaveRegistry.sol";
import {INodeRegistry} from "./INodeRegistry.sol";

/// @title Identity of nodes and their enclaves
/// @notice See `INodeRegistry` and `IEnclaveRegistry`.
contract NodeRegistry is EnclaveReads {
    bytes32 private constant SIGNER_CONSENT_TYPEHASH = keccak256(
        "SignerConsent(bytes32 nodeId,address operator,uint40 validUntil)"
    );
    /// VANILLA and ZKML: what a proof vouches for needs no enclave, and the key only tells whose answer it is.
    uint8 private constant SIGNER_MODES = 3;
    uint256 private constant MAX_LIVE_SIGNERS = 4;
    uint256 private constant MAX_ENDPOINT_LENGTH = 256;

    INodeStaking public immutable staking;

    mapping(address key => Signer) private _signers;
    mapping(address key => bytes32) public nodeOfSigner;
    mapping(Role role => uint256) public minimumStake;
    mapping(bytes32 nodeId => address[]) private _liveSigners;
    mapping(Role role => bytes32[]) private _byRole;
    mapping(address operator => uint256) private _registrations;

    constructor(INodeStaking staking_, address owner_) Ownable(owner_) EIP712("OpenGradient", "1") {
        staking = staking_;
    }

    /// @inheritdoc INodeRegistry
    function register(Role role, address payout, string calldata endpoint) external returns (bytes32 nodeId) {
        uint256 available = staking.activeStake(msg.sender, role);
        uint256 required = minimumStake[role];
        require(available >= required, InsufficientStake(available, required));
        _requireValid(payout, endpoint);

        nodeId = keccak256(abi.encode(block.chainid, address(this), msg.sender, _registrations[msg.sender]++));
        _nodes[nodeId] = Node(msg.sender, role, true, uint48(block.timestamp), payout, endpoint);
        _byRole[role].push(nodeId);
        emit NodeRegistered(nodeId, msg.sender, role, payout, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function update(bytes32 nodeId, address payout, string calldata endpoint) external onlyOperator(nodeId) {
        _requireValid(payout, endpoint);
        Node storage n = _nodes[nodeId];
        n.payout = payout;
        n.endpoint = endpoint;
        emit NodeUpdated(nodeId, payout, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function disable(bytes32 nodeId) external onlyOperator(nodeId) {
        require(_nodes[nodeId].enabled, NodeIsDisabled(nodeId));
        _nodes[nodeId].enabled = false;
        address[] storage live = _liveSigners[nodeId];
        for (uint256 i = live.length; i != 0; --i) {
            address key = live[i - 1];
            live.pop();
            _endSigner(nodeId, key);
        }
        _endEnclavesOf(nodeId);
        emit NodeDisabled(nodeId);
    }

    /// @inheritdoc INodeRegistry
    function enable(bytes32 nodeId) external onlyOperator(nodeId) {
        _nodes[nodeId].enabled = true;
        emit NodeEnabled(nodeId);
    }

    /// @inheritdoc INodeRegistry
    function addSigner(
        bytes32 nodeId,
        address key,
        uint40 validUntil,
        bytes calldata consent
    ) external onlyOperator(nodeId) {
        require(_nodes[nodeId].enabled, NodeIsDisabled(nodeId));
        require(validUntil > block.timestamp, InvalidValidity(validUntil));
        require(!_isSigner(key) && _enclaves[key].operator == address(0), SignerTaken(key));
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(SIGNER_CONSENT_TYPEHASH, nodeId, msg.sender, validUntil))
        );
        (address signed, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, consent);
        require(err == ECDSA.RecoverError.NoError && signed == key, SignerConsentMissing(key));

        address[] storage live = _liveSigners[nodeId];
        _dropExpired(live);
        require(live.length < MAX_LIVE_SIGNERS, TooManySigners(MAX_LIVE_SIGNERS));
        live.push(key);
        _signers[key] = Signer(msg.sender, uint40(block.timestamp), validUntil, SIGNER_MODES);
        nodeOfSigner[key] = nodeId;
        emit SignerAdded(nodeId, key, validUntil, SIGNER_MODES);
    }

    /// @inheritdoc INodeRegistry
    function revokeSigner(address key) external {
        bytes32 nodeId = nodeOfSigner[key];
        _requireOperator(nodeId);
        address[] storage live = _liveSigners[nodeId];
        uint256 i;
        while (i < live.length && live[i] != key) ++i;
        require(i < live.length, SignerNotLive(key));
        live[i] = live[live.length - 1];
        live.pop();
        _endSigner(nodeId, key);
    }

    /// @inheritdoc INodeRegistry
    function setMinimumStake(Role role, uint256 amount) external onlyOwner {
        minimumStake[role] = amount;
        emit MinimumStakeSet(role, amount);
    }

    /// @inheritdoc INodeRegistry
    function findOperator(address key, uint8 mode, uint256 timestamp) public view override returns (address) {
        if (mode == MODE_TEE) return _operatorAt(_enclaves[key], timestamp);
        Signer storage s = _signers[key];
        (uint256 from, uint256 until, uint256 modes, address operator) = (
            s.validFrom,
            s.validUntil,
            s.modes,
            s.operator
        );
        return timestamp >= from && timestamp < until && (modes >> mode) & 1 == 1 ? operator : address(0);
    }

    /// @inheritdoc INodeRegistry
    function signers(
        address key
    ) external view returns (address operator, uint40 validFrom, uint40 validUntil, uint8 modes) {
        Enclave storage e = _enclaves[key];
        if (e.operator != address(0)) return (e.operator, e.attestedAt, uint40(_endOf(e)), uint8(1 << MODE_TEE));
        Signer memory s = _signers[key];
        return (s.operator, s.validFrom, s.validUntil, s.modes);
    }

    /// @inheritdoc INodeRegistry
    function node(bytes32 nodeId) external view returns (Node memory) {
        return _nodes[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function nodeCount(Role role) external view returns (uint256) {
        return _byRole[role].length;
    }

    /// @inheritdoc INodeRegistry
    function nodesOf(
        Role role,
        uint256 offset,
        uint256 limit
    ) external view returns (bytes32[] memory nodeIds, Node[] memory nodes) {
        bytes32[] storage all = _byRole[role];
        uint256 left = offset < all.length ? all.length - offset : 0;
        uint256 count = limit < left ? limit : left;
        nodeIds = new bytes32[](count);
        nodes = new Node[](count);
        for (uint256 i; i < count; ++i) {
            nodeIds[i] = all[offset + i];
            nodes[i] = _nodes[nodeIds[i]];
        }
    }

    /// @inheritdoc INodeRegistry
    function signersOf(bytes32 nodeId) external view returns (address[] memory) {
        return _liveSigners[nodeId];
    }

    /// A key that is valid now is not valid for this very second any more; one that has expired keeps its end.
    function _endSigner(bytes32 nodeId, address key) private {
        Signer storage s = _signers[key];
        if (s.validUntil > block.timestamp) s.validUntil = uint40(block.timestamp);
        emit SignerRevoked(nodeId, key);
    }

    function _isSigner(address key) internal view override returns (bool) {
        return _signers[key].operator != address(0);
    }

    function _dropExpired(address[] storage live) private {
        for (uint256 i = live.length; i != 0; --i) {
            if (_signers[live[i - 1]].validUntil > block.timestamp) continue;
            live[i - 1] = live[live.length - 1];
            live.pop();
        }
    }

    function _requireValid(address payout, string calldata endpoint) private pure {
        require(payout != address(0), InvalidPayout());
        uint256 length = bytes(endpoint).length;
        require(length != 0 && length <= MAX_ENDPOINT_LENGTH, InvalidEndpoint(length, MAX_ENDPOINT_LENGTH));
    }
}
