// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A smart wallet at its barest: its owner makes it call anything.
contract ContractWallet {
    address public immutable owner;

    error NotOwner(address caller);

    constructor(address owner_) {
        owner = owner_;
    }

    function execute(address target, bytes calldata data) external returns (bytes memory) {
        require(msg.sender == owner, NotOwner(msg.sender));
        (bool ok, bytes memory result) = target.call(data);
        if (!ok) {
            // hands the callee's error on unchanged; memory-safe: reads `result` only
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }
}
