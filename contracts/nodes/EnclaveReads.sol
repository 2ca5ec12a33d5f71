// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EnclaveRegistry} from "./EnclaveRegistry.sol";
import {IEnclaveKeys} from "./IEnclaveKeys.sol";
import {Enclave, IEnclaveRegistry, OhttpConfig, TEEInfo} from "./IEnclaveRegistry.sol";

/// @title Enclaves as OpenGradient's registry shows them
/// @notice Views only: its clients read `getActiveTEEs` and decode eleven fields.
abstract contract EnclaveReads is EnclaveRegistry {
    /// RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305
    uint16 private constant KEM_ID = 0x0020;
    uint16 private constant KDF_ID = 0x0001;
    uint16 private constant AEAD_ID = 0x0003;
    /// An enclave has one sealing key, for as long as it lives.
    uint8 private constant KEY_ID = 1;

    /// @inheritdoc IEnclaveRegistry
    function getActiveTEEs(uint8 teeType) external view returns (TEEInfo[] memory infos) {
        bytes32[] storage list = _enclavesOfType[teeType];
        infos = new TEEInfo[](list.length);
        uint256 count;
        for (uint256 i; i < infos.length; ++i) {
            if (isTEEActive(list[i])) infos[count++] = getTEE(list[i]);
        }
        assembly ("memory-safe") {
            // shortens the array to what was filled
            mstore(infos, count)
        }
    }

    /// @inheritdoc IEnclaveRegistry
    function getEnabledTEEs(uint8 teeType) external view returns (bytes32[] memory teeIds) {
        bytes32[] storage list = _enclavesOfType[teeType];
        teeIds = new bytes32[](list.length);
        uint256 count;
        for (uint256 i; i < teeIds.length; ++i) {
            if (isTEEEnabled(list[i])) teeIds[count++] = list[i];
        }
        _shorten(teeIds, count);
    }

    /// @inheritdoc IEnclaveRegistry
    function getTEEsByType(uint8 teeType) external view returns (bytes32[] memory) {
        return _enclavesOfType[teeType];
    }

    /// @inheritdoc IEnclaveRegistry
    function getTEEsByOwner(address owner) external view returns (bytes32[] memory teeIds) {
        uint256 total;
        for (uint256 t; t < _typeIds.length; ++t) total += _enclavesOfType[_typeIds[t]].length;
        teeIds = new bytes32[](total);
        uint256 count;
        for (uint256 t; t < _typeIds.length; ++t) {
            bytes32[] storage list = _enclavesOfType[_typeIds[t]];
            for (uint256 i; i < list.length; ++i) {
                if (_enclaves[_enclaveKeys[list[i]]].operator == owner) teeIds[count++] = list[i];
            }
        }
        _shorten(teeIds, count);
    }

    /// @inheritdoc IEnclaveRegistry
    function enclavesOf(uint8 teeType, uint256 offset, uint256 limit) external view returns (bytes32[] memory teeIds) {
        bytes32[] storage list = _enclavesOfType[teeType];
        uint256 left = offset < list.length ? list.length - offset : 0;
        teeIds = new bytes32[](limit < left ? limit : left);
        for (uint256 i; i < teeIds.length; ++i) teeIds[i] = list[offset + i];
    }

    /// @inheritdoc IEnclaveRegistry
    function enclave(bytes32 teeId) external view returns (address key, Enclave memory) {
        key = _enclaveKeys[teeId];
        return (key, _enclaves[key]);
    }

    /// @inheritdoc IEnclaveKeys
    function getTEEPublicKey(bytes32 teeId) external view returns (bytes memory signingKey) {
        (, Enclave storage e) = _requireEnclave(teeId);
        (, signingKey, ) = _keysOf(e);
    }

    /// @inheritdoc IEnclaveRegistry
    function getTEE(bytes32 teeId) public view returns (TEEInfo memory info) {
        (, Enclave storage e) = _requireEnclave(teeId);
        Node storage n = _nodes[e.nodeId];
        (info.owner, info.paymentAddress, info.endpoint) = (n.operator, n.payout, n.endpoint);
        bytes32 sealingKey;
        (sealingKey, info.publicKey, info.tlsCertificate) = _keysOf(e);
        (info.pcrHash, info.teeType) = (_images[e.image].pcrHash, _images[e.image].teeType);
        info.enabled = isTEEEnabled(teeId);
        (info.registeredAt, info.lastHeartbeatAt) = (e.attestedAt, e.heartbeatAt);
        bytes memory keyConfig = abi.encodePacked(KEY_ID, KEM_ID, sealingKey, uint16(4), KDF_ID, AEAD_ID);
        info.ohttpConfig = OhttpConfig(
            KEY_ID,
            KEM_ID,
            KDF_ID,
            AEAD_ID,
            abi.encodePacked(sealingKey),
            keyConfig,
            e.attestedAt
        );
    }

    /// @inheritdoc IEnclaveRegistry
    function isTEEEnabled(bytes32 teeId) public view returns (bool) {
        return isLiveAt(teeId, block.timestamp);
    }

    /// @inheritdoc IEnclaveRegistry
    function isTEEActive(bytes32 teeId) public view returns (bool) {
        Enclave storage e = _enclaves[_enclaveKeys[teeId]];
        return _isLive(e, block.timestamp) && e.heartbeatAt + heartbeatMaxAge() >= block.timestamp;
    }

    /// @inheritdoc IEnclaveRegistry
    function computeTEEId(bytes calldata publicKey) external pure returns (bytes32) {
        return keccak256(publicKey);
    }

    function _shorten(bytes32[] memory ids, uint256 count) private pure {
        assembly ("memory-safe") {
            // only ever less than it was
            mstore(ids, count)
        }
    }
}
