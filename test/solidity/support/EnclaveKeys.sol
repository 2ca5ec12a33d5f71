// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IEnclaveKeys} from "../../../contracts/nodes/IEnclaveKeys.sol";

/// @notice The part of a registry of enclaves that signatures are checked with: keys and when they were live, as anybody says.
contract EnclaveKeys is IEnclaveKeys {
    struct Entry {
        bytes spki;
        uint256 liveFrom;
        /// exclusive
        uint256 liveUntil;
    }

    mapping(bytes32 teeId => Entry) private _entries;

    error UnknownEnclave(bytes32 teeId);

    function put(bytes calldata spki, uint256 liveFrom, uint256 liveUntil) external {
        _entries[keccak256(spki)] = Entry(spki, liveFrom, liveUntil);
    }

    function getTEEPublicKey(bytes32 teeId) external view returns (bytes memory) {
        require(_entries[teeId].spki.length != 0, UnknownEnclave(teeId));
        return _entries[teeId].spki;
    }

    function isLiveAt(bytes32 teeId, uint256 timestamp) external view returns (bool) {
        return _entries[teeId].liveFrom <= timestamp && timestamp < _entries[teeId].liveUntil;
    }
}
