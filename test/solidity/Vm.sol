// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The cheatcodes of Hardhat's Solidity tests that are used here.
interface Vm {
    function addr(uint256 privateKey) external pure returns (address);

    function assume(bool condition) external pure;

    function expectRevert(bytes calldata data) external;

    /// @dev Creation code of a compiled contract.
    function getCode(string calldata artifact) external view returns (bytes memory);

    /// @dev The optimizer may read TIMESTAMP once for a whole function; a call it cannot.
    function getBlockTimestamp() external view returns (uint256);

    function prank(address sender) external;

    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    function startPrank(address sender) external;

    function stopPrank() external;

    function warp(uint256 timestamp) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @notice Deploys a contract as it was compiled for deployment: `new` would compile it once more, into the test.
function deploy(string memory artifact, bytes memory constructorArguments) returns (address deployed) {
    bytes memory init = bytes.concat(vm.getCode(artifact), constructorArguments);
    assembly ("memory-safe") {
        deployed := create(0, add(init, 32), mload(init))
    }
    require(deployed != address(0), DeploymentFailed(artifact));
}

error DeploymentFailed(string artifact);

/// @notice `x` folded into [low, high].
function bound(uint256 x, uint256 low, uint256 high) pure returns (uint256) {
    uint256 range = high - low;
    return range == type(uint256).max ? x : low + (x % (range + 1));
}
