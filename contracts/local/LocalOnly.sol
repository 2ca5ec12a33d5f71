// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LocalChain} from "../attestation/LocalChain.sol";

/// @title Contracts that stand in for x402's own on a developer's chain
/// @notice They cannot be deployed, nor called to any effect, on any other chain: there x402's own contracts are used.
/// @dev Their code is put at the canonical addresses without running a constructor there, so they keep no state that one would set up,
/// and nothing in them may depend on the address they were made at.
abstract contract LocalOnly {
    error NotLocalChain(uint256 chainId);

    modifier onlyLocalChain() {
        _checkLocalChain();
        _;
    }

    constructor() {
        _checkLocalChain();
    }

    function _checkLocalChain() private view {
        require(LocalChain.here(), NotLocalChain(block.chainid));
    }
}
