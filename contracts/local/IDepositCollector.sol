// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Brings a payer's tokens into a channel
interface IDepositCollector {
    error OnlyBatchSettlement(address caller);

    /// @notice Moves `amount` of `token` from `payer` to the caller. The payer's signature has to cover the channel.
    /// @dev Only the batch settlement may call it: it vouches for `channelId`.
    /// @param data the payer's authorization, as the collector understands it.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata data) external;
}
