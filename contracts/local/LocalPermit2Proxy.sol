// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IPermit2} from "./IPermit2.sol";
import {LocalOnly} from "./LocalOnly.sol";
import {X402Addresses} from "./X402Addresses.sol";

/// @title What both of x402's Permit2 proxies do
/// @notice A payer signs a Permit2 transfer whose spender is the proxy and whose witness names the payee. The proxy hands it to Permit2
/// with that payee: whoever submits it cannot turn the money elsewhere.
/// @dev Errors and events carry no operands, because x402's do not: its packages look for their selectors.
abstract contract LocalPermit2Proxy is LocalOnly, ReentrancyGuardTransient {
    /// @notice A token's approval of Permit2 by signature (EIP-2612).
    struct EIP2612Permit {
        uint256 value;
        uint256 deadline;
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    IPermit2 public constant PERMIT2 = IPermit2(X402Addresses.PERMIT2);

    event Settled();
    event SettledWithPermit();

    error InvalidDestination();
    error InvalidOwner();
    error PaymentTooEarly();
    /// @dev x402's own checks this when it is deployed; here it says that Permit2 is not on the chain.
    error InvalidPermit2Address();
    error Permit2612AmountMismatch();

    /// @dev A permit that somebody else submitted first fails here and has done its work: Permit2's transfer decides.
    function _approvePermit2(
        EIP2612Permit calldata approval,
        IPermit2.TokenPermissions calldata permitted,
        address owner
    ) internal {
        require(approval.value == permitted.amount, Permit2612AmountMismatch());
        try
            IERC20Permit(permitted.token).permit(
                owner,
                address(PERMIT2),
                approval.value,
                approval.deadline,
                approval.v,
                approval.r,
                approval.s
            )
        {} catch {} // solhint-disable-line no-empty-blocks
    }

    function _transfer(
        IPermit2.PermitTransferFrom calldata permit,
        uint256 amount,
        address owner,
        address to,
        uint256 validAfter,
        bytes32 witness,
        string memory witnessType,
        bytes calldata signature
    ) internal {
        require(owner != address(0), InvalidOwner());
        require(to != address(0), InvalidDestination());
        require(block.timestamp >= validAfter, PaymentTooEarly());
        require(address(PERMIT2).code.length != 0, InvalidPermit2Address());
        IPermit2.SignatureTransferDetails memory transfer = IPermit2.SignatureTransferDetails(to, amount);
        PERMIT2.permitWitnessTransferFrom(permit, transfer, owner, witness, witnessType, signature);
    }
}
