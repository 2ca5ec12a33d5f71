// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IDepositCollector} from "./IDepositCollector.sol";
import {IPermit2} from "./IPermit2.sol";
import {LocalOnly} from "./LocalOnly.sol";
import {X402Addresses} from "./X402Addresses.sol";

/// @title Stand-in for x402's deposit collector of any token, by Permit2
/// @notice `data`: `(uint256 nonce, uint256 deadline, bytes signature, bytes permit)`. The signature is a Permit2 transfer whose spender is
/// this contract and whose witness is the channel. `permit`, if not empty, approves Permit2 first:
/// `(uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)` of EIP-2612.
contract LocalPermit2Collector is IDepositCollector, LocalOnly {
    bytes32 public constant WITNESS_TYPEHASH = keccak256("DepositWitness(bytes32 channelId)");
    string public constant WITNESS_TYPE_STRING =
        "DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)";

    /// @inheritdoc IDepositCollector
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata data
    ) external onlyLocalChain {
        require(msg.sender == X402Addresses.BATCH_SETTLEMENT, OnlyBatchSettlement(msg.sender));
        (uint256 nonce, uint256 deadline, bytes memory signature, bytes memory approval) = abi.decode(
            data,
            (uint256, uint256, bytes, bytes)
        );
        if (approval.length != 0) _approvePermit2(payer, token, approval);
        IPermit2(X402Addresses.PERMIT2).permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(msg.sender, amount),
            payer,
            keccak256(abi.encode(WITNESS_TYPEHASH, channelId)),
            WITNESS_TYPE_STRING,
            signature
        );
    }

    /// @dev A permit that somebody else submitted first fails here and has done its work: Permit2's transfer decides.
    function _approvePermit2(address payer, address token, bytes memory approval) private {
        (uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) = abi.decode(
            approval,
            (uint256, uint256, uint8, bytes32, bytes32)
        );
        try IERC20Permit(token).permit(payer, X402Addresses.PERMIT2, value, deadline, v, r, s) {} catch {} // solhint-disable-line no-empty-blocks
    }
}
