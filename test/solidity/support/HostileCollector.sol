// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDepositCollector} from "../../../contracts/local/IDepositCollector.sol";

/// @notice Brings as many tokens of its own as it is told, and calls back the contract that asked for them.
contract HostileCollector is IDepositCollector {
    uint256 public brings;
    bytes public payload;
    bool public reentered;
    bytes4 public refusal;

    function arm(uint256 brings_, bytes calldata payload_) external {
        (brings, payload, reentered, refusal) = (brings_, payload_, false, 0);
    }

    function collect(address, address token, uint256, bytes32, bytes calldata) external {
        if (payload.length != 0) {
            bytes memory result;
            (reentered, result) = msg.sender.call(payload);
            refusal = bytes4(result);
        }
        if (brings != 0) require(IERC20(token).transfer(msg.sender, brings), OnlyBatchSettlement(token));
    }
}
