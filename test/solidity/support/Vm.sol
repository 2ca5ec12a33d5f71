// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The cheatcodes these tests use, of those Hardhat's Solidity test runner understands.
interface Vm {
    function prank(address sender) external;

    function startPrank(address sender) external;

    function stopPrank() external;

    function warp(uint256 timestamp) external;

    /// @dev The optimizer may read TIMESTAMP once for a whole function; a call it cannot.
    function getBlockTimestamp() external view returns (uint256);

    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    function addr(uint256 privateKey) external pure returns (address);

    function expectRevert(bytes calldata reason) external;
}
