// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Payment channels of x402's `batch-settlement` scheme
/// @notice A payer deposits once and signs vouchers with a growing ceiling; the receiver claims what was used, of many channels at once, and
/// is paid in one transfer. What is not claimed goes back to the payer: at once if the receiver agrees, after a delay if not.
interface IBatchSettlement {
    /// @notice What a channel is; its EIP-712 hash is the channel's id.
    struct ChannelConfig {
        address payer;
        /// @dev Signs vouchers. Zero: `payer` does, by ERC-1271 if it is a contract.
        address payerAuthorizer;
        address receiver;
        /// @dev Signs claims and refunds.
        address receiverAuthorizer;
        address token;
        /// @dev Seconds between asking for a withdrawal and getting it.
        uint40 withdrawDelay;
        bytes32 salt;
    }

    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    struct VoucherClaim {
        Voucher voucher;
        /// @dev The payer's, over the channel and `maxClaimableAmount`.
        bytes signature;
        /// @dev What the channel's `totalClaimed` shall become.
        uint128 totalClaimed;
    }

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event ChannelClosed(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed payer, uint128 amount, uint128 balance);
    event Claimed(bytes32 indexed channelId, address indexed receiver, uint128 amount, uint128 totalClaimed);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    event Refunded(bytes32 indexed channelId, address indexed payer, uint128 amount);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint256 finalizableAt);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed payer, uint128 amount);

    error InvalidConfig();
    error WithdrawDelayOutOfRange(uint40 delay, uint40 least, uint40 most);
    error ZeroAmount();
    error NoClaims();
    error DepositNotReceived(uint256 received, uint256 expected);
    error Unauthorized(address caller);
    error InvalidSignature(address signer);
    error MixedAuthorizers(address first, address other);
    error ClaimExceedsVoucher(uint128 claimed, uint128 maxClaimable);
    error ClaimExceedsBalance(uint128 claimed, uint128 balance);
    error RefundNonceMismatch(uint256 given, uint256 expected);
    error WithdrawExceedsEscrow(uint128 requested, uint128 available);
    error WithdrawPending(uint40 initiatedAt);
    error NoWithdrawPending();
    error WithdrawTooEarly(uint256 now_, uint256 finalizableAt);

    /// @notice Puts `amount` of the channel's token into the channel, which exists from its first deposit on. Anybody may submit it.
    /// @param collector brings the tokens; `collectorData` is the payer's authorization for it.
    function deposit(
        ChannelConfig calldata config,
        uint128 amount,
        address collector,
        bytes calldata collectorData
    ) external;

    /// @notice Counts vouchers as earned, by the receiver or the receiver's authorizer of every channel among them. Moves no tokens.
    /// A claim that is not above what was claimed already changes nothing.
    function claim(VoucherClaim[] calldata voucherClaims) external;

    /// @notice As `claim`, by anybody who has a `ClaimBatch` signature of the one authorizer of all channels among them.
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;

    /// @notice Pays `receiver` all that was claimed for it and not yet paid. Anybody may submit it; nothing to pay is no error.
    function settle(address receiver, address token) external;

    /// @notice Gives back to the payer up to `amount` of what is not claimed, by the receiver or its authorizer. Uses up the refund nonce also
    /// when nothing is left to give.
    function refund(ChannelConfig calldata config, uint128 amount) external;

    /// @notice As `refund`, by anybody who has a `Refund` signature of the receiver's authorizer.
    function refundWithSignature(
        ChannelConfig calldata config,
        uint128 amount,
        uint256 nonce,
        bytes calldata receiverAuthorizerSignature
    ) external;

    /// @notice Asks for `amount` back without the receiver, who has `withdrawDelay` seconds to claim; by the payer or its authorizer.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;

    /// @notice Pays the payer what it asked for, or what the receiver has left of it; by the payer or its authorizer.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    /// @notice What was deposited less what went back to the payer, and how much of it the receiver has claimed.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);

    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);

    /// @notice What was claimed for a receiver, and how much of it was paid.
    function receivers(
        address receiver,
        address token
    ) external view returns (uint128 totalClaimed, uint128 totalSettled);

    /// @notice The nonce that the next refund has to be signed with.
    function refundNonce(bytes32 channelId) external view returns (uint256);

    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);

    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);

    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);

    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);
}
