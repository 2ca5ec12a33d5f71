// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Chains that are one developer's own
/// @notice Only there may a root of attestations be another one than AWS's.
library LocalChain {
    uint256 private constant HARDHAT_CHAIN_ID = 31_337;
    uint256 private constant GETH_DEV_CHAIN_ID = 1_337;

    function here() internal view returns (bool) {
        return block.chainid == HARDHAT_CHAIN_ID || block.chainid == GETH_DEV_CHAIN_ID;
    }
}
