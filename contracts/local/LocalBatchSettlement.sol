// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ChannelDigests} from "./ChannelDigests.sol";
import {IBatchSettlement} from "./IBatchSettlement.sol";
import {IDepositCollector} from "./IDepositCollector.sol";
import {LocalOnly} from "./LocalOnly.sol";

/// @title Stand-in for x402's batch settlement
/// @dev For every token: its balance here = what channels hold unclaimed + what receivers have claimed and not been paid.
contract LocalBatchSettlement is ChannelDigests, LocalOnly, Multicall, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    // one slot: balance, totalClaimed
    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
    }

    // one slot: amount, initiatedAt (zero: none is pending)
    struct Withdrawal {
        uint128 amount;
        uint40 initiatedAt;
    }

    // one slot: totalClaimed, totalSettled
    struct Receiver {
        uint128 totalClaimed;
        uint128 totalSettled;
    }

    uint40 public constant MIN_WITHDRAW_DELAY = 15 minutes;
    uint40 public constant MAX_WITHDRAW_DELAY = 30 days;

    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => Channel channel) public channels;
    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => Withdrawal withdrawal) public pendingWithdrawals;
    /// @inheritdoc IBatchSettlement
    mapping(address receiver => mapping(address token => Receiver account)) public receivers;
    /// @inheritdoc IBatchSettlement
    mapping(bytes32 channelId => uint256 nonce) public refundNonce;

    /// @inheritdoc IBatchSettlement
    function deposit(
        ChannelConfig calldata config,
        uint128 amount,
        address collector,
        bytes calldata collectorData
    ) external onlyLocalChain nonReentrant {
        _checkConfig(config);
        require(amount != 0, ZeroAmount());
        bytes32 channelId = getChannelId(config);
        Channel storage channel = channels[channelId];
        if (channel.balance == 0) emit ChannelCreated(channelId, config);
        channel.balance += amount;
        emit Deposited(channelId, config.payer, amount, channel.balance);

        IERC20 token = IERC20(config.token);
        uint256 before = token.balanceOf(address(this));
        IDepositCollector(collector).collect(config.payer, config.token, amount, channelId, collectorData);
        uint256 received = token.balanceOf(address(this)) - before;
        require(received == amount, DepositNotReceived(received, amount));
    }

    /// @inheritdoc IBatchSettlement
    function claim(VoucherClaim[] calldata voucherClaims) external onlyLocalChain nonReentrant {
        require(voucherClaims.length != 0, NoClaims());
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            _checkReceiverSide(voucherClaims[i].voucher.channel);
            _claim(voucherClaims[i]);
        }
    }

    /// @inheritdoc IBatchSettlement
    function claimWithSignature(
        VoucherClaim[] calldata voucherClaims,
        bytes calldata authorizerSignature
    ) external onlyLocalChain nonReentrant {
        require(voucherClaims.length != 0, NoClaims());
        address authorizer = voucherClaims[0].voucher.channel.receiverAuthorizer;
        _checkSignature(authorizer, getClaimBatchDigest(voucherClaims), authorizerSignature);
        for (uint256 i = 0; i < voucherClaims.length; ++i) {
            address other = voucherClaims[i].voucher.channel.receiverAuthorizer;
            require(other == authorizer, MixedAuthorizers(authorizer, other));
            _claim(voucherClaims[i]);
        }
    }

    /// @inheritdoc IBatchSettlement
    function settle(address receiver, address token) external onlyLocalChain nonReentrant {
        Receiver storage account = receivers[receiver][token];
        uint128 amount = account.totalClaimed - account.totalSettled;
        if (amount == 0) return;
        account.totalSettled = account.totalClaimed;
        emit Settled(receiver, token, msg.sender, amount);
        IERC20(token).safeTransfer(receiver, amount);
    }

    /// @inheritdoc IBatchSettlement
    function refund(ChannelConfig calldata config, uint128 amount) external onlyLocalChain nonReentrant {
        _checkReceiverSide(config);
        _refund(config, getChannelId(config), amount);
    }

    /// @inheritdoc IBatchSettlement
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external onlyLocalChain nonReentrant {
        bytes32 channelId = getChannelId(config);
        uint256 expected = refundNonce[channelId];
        require(nonce == expected, RefundNonceMismatch(nonce, expected));
        bytes32 digest = getRefundDigest(channelId, nonce, amount);
        _checkSignature(config.receiverAuthorizer, digest, receiverAuthorizerSignature);
        _refund(config, channelId, amount);
    }

    /// @inheritdoc IBatchSettlement
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external onlyLocalChain nonReentrant {
        _checkPayerSide(config);
        require(amount != 0, ZeroAmount());
        bytes32 channelId = getChannelId(config);
        uint128 available = _available(channels[channelId]);
        require(amount <= available, WithdrawExceedsEscrow(amount, available));
        Withdrawal storage pending = pendingWithdrawals[channelId];
        require(pending.initiatedAt == 0, WithdrawPending(pending.initiatedAt));
        pending.amount = amount;
        pending.initiatedAt = uint40(block.timestamp);
        emit WithdrawInitiated(channelId, amount, block.timestamp + config.withdrawDelay);
    }

    /// @inheritdoc IBatchSettlement
    function finalizeWithdraw(ChannelConfig calldata config) external onlyLocalChain nonReentrant {
        _checkPayerSide(config);
        bytes32 channelId = getChannelId(config);
        Withdrawal memory pending = pendingWithdrawals[channelId];
        require(pending.initiatedAt != 0, NoWithdrawPending());
        uint256 finalizableAt = uint256(pending.initiatedAt) + config.withdrawDelay;
        require(block.timestamp >= finalizableAt, WithdrawTooEarly(block.timestamp, finalizableAt));
        delete pendingWithdrawals[channelId];

        uint128 amount = uint128(Math.min(pending.amount, _available(channels[channelId])));
        emit WithdrawFinalized(channelId, config.payer, amount);
        if (amount != 0) _payBack(config, channelId, amount);
    }

    /// @dev Old vouchers do nothing rather than revert, so that a batch sent twice or late does not fail whole.
    function _claim(VoucherClaim calldata row) private {
        ChannelConfig calldata config = row.voucher.channel;
        uint128 maxClaimable = row.voucher.maxClaimableAmount;
        bytes32 channelId = getChannelId(config);
        Channel storage channel = channels[channelId];
        require(row.totalClaimed <= maxClaimable, ClaimExceedsVoucher(row.totalClaimed, maxClaimable));
        if (row.totalClaimed <= channel.totalClaimed) return;
        require(row.totalClaimed <= channel.balance, ClaimExceedsBalance(row.totalClaimed, channel.balance));
        bytes32 digest = getVoucherDigest(channelId, maxClaimable);
        if (config.payerAuthorizer == address(0)) {
            _checkSignature(config.payer, digest, row.signature);
        } else {
            (address signer, ECDSA.RecoverError problem, ) = ECDSA.tryRecoverCalldata(digest, row.signature);
            bool signed = problem == ECDSA.RecoverError.NoError && signer == config.payerAuthorizer;
            require(signed, InvalidSignature(config.payerAuthorizer));
        }

        uint128 amount = row.totalClaimed - channel.totalClaimed;
        channel.totalClaimed = row.totalClaimed;
        receivers[config.receiver][config.token].totalClaimed += amount;
        emit Claimed(channelId, config.receiver, amount, row.totalClaimed);
    }

    /// @dev A refund comes out of what a pending withdrawal asked for.
    function _refund(ChannelConfig calldata config, bytes32 channelId, uint128 requested) private {
        require(requested != 0, ZeroAmount());
        ++refundNonce[channelId];
        uint128 amount = uint128(Math.min(requested, _available(channels[channelId])));
        if (amount == 0) return;
        Withdrawal storage pending = pendingWithdrawals[channelId];
        if (amount >= pending.amount) delete pendingWithdrawals[channelId];
        else pending.amount -= amount;
        emit Refunded(channelId, config.payer, amount);
        _payBack(config, channelId, amount);
    }

    function _payBack(ChannelConfig calldata config, bytes32 channelId, uint128 amount) private {
        Channel storage channel = channels[channelId];
        channel.balance -= amount;
        if (channel.balance == 0) emit ChannelClosed(channelId, config);
        IERC20(config.token).safeTransfer(config.payer, amount);
    }

    function _checkReceiverSide(ChannelConfig calldata config) private view {
        bool allowed = msg.sender == config.receiver || msg.sender == config.receiverAuthorizer;
        require(allowed, Unauthorized(msg.sender));
    }

    function _checkPayerSide(ChannelConfig calldata config) private view {
        bool allowed = msg.sender == config.payer || msg.sender == config.payerAuthorizer;
        require(allowed, Unauthorized(msg.sender));
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        require(SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature), InvalidSignature(signer));
    }

    function _available(Channel storage channel) private view returns (uint128) {
        return channel.balance - channel.totalClaimed;
    }

    function _checkConfig(ChannelConfig calldata config) private pure {
        bool complete =
            config.payer != address(0) &&
                config.receiver != address(0) &&
                config.receiverAuthorizer != address(0) &&
                config.token != address(0);
        require(complete, InvalidConfig());
        bool inRange = config.withdrawDelay >= MIN_WITHDRAW_DELAY && config.withdrawDelay <= MAX_WITHDRAW_DELAY;
        require(inRange, WithdrawDelayOutOfRange(config.withdrawDelay, MIN_WITHDRAW_DELAY, MAX_WITHDRAW_DELAY));
    }
}
