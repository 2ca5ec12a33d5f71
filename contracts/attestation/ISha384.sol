// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title SHA-384 (FIPS 180-4)
interface ISha384 {
    /// @notice Digest of a message in two parts: its first 16 bytes, then its last 32.
    function hash(bytes calldata message) external pure returns (uint128 high, uint256 low);
}
