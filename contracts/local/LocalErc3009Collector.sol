// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IDepositCollector} from "./IDepositCollector.sol";
import {LocalOnly} from "./LocalOnly.sol";
import {X402Addresses} from "./X402Addresses.sol";

/// @dev ERC-3009 for payers that are contracts; some tokens have it.
interface IERC3009Bytes {
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}

/// @title Stand-in for x402's deposit collector of tokens with ERC-3009
/// @notice `data`: `(uint256 validAfter, uint256 validBefore, uint256 salt, bytes signature)` of a `receiveWithAuthorization` to this
/// contract whose nonce is `keccak256(channelId, salt)`, which ties it to the channel.
contract LocalErc3009Collector is IDepositCollector, LocalOnly {
    using SafeERC20 for IERC20;

    uint256 private constant ECDSA_LENGTH = 65;

    /// @inheritdoc IDepositCollector
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata data
    ) external onlyLocalChain {
        require(msg.sender == X402Addresses.BATCH_SETTLEMENT, OnlyBatchSettlement(msg.sender));
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) = abi.decode(
            data,
            (uint256, uint256, uint256, bytes)
        );
        bytes32 nonce = keccak256(abi.encode(channelId, salt));
        if (signature.length == ECDSA_LENGTH) {
            (bytes32 r, bytes32 s, uint8 v) = _split(signature);
            IERC3009(token).receiveWithAuthorization(
                payer,
                address(this),
                amount,
                validAfter,
                validBefore,
                nonce,
                v,
                r,
                s
            );
        } else {
            IERC3009Bytes(token).receiveWithAuthorization(
                payer,
                address(this),
                amount,
                validAfter,
                validBefore,
                nonce,
                signature
            );
        }
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    function _split(bytes memory signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        // reads within the 65 bytes whose length was checked
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
    }
}
