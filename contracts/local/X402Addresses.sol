// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Addresses that x402 v2 fixes for every EVM chain
/// @dev The same as the constants of the npm package `@x402/evm`; a test compares them.
library X402Addresses {
    address internal constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    address internal constant BATCH_SETTLEMENT = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;
}
