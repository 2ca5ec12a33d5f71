// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CompactSignature} from "../receipts/ReceiptLib.sol";
import {Groth16Proof} from "../zkml/IShapeVerifier.sol";

/// @notice Everything a request promises. Its hash, bound to chain and escrow, is the request's id.
struct Request {
    address payer;
    /// who is to answer
    address operator;
    /// version in the ModelRegistry
    bytes32 modelId;
    /// keccak256 of the input; in mode ZKML of its packed words
    bytes32 inputHash;
    /// Walrus id of the input
    bytes32 inputBlobId;
    /// what is locked, wei of OPG
    uint96 maxFee;
    /// unix seconds: last moment of an answer
    uint48 deadline;
    /// 0 VANILLA, 1 ZKML, 2 TEE
    uint8 mode;
    /// the model's royalty and its receiver, as the registry has them when the money is locked
    address royaltyTo;
    uint16 royaltyBps;
    /// makes equal requests different
    bytes32 salt;
}

/// @title Inference paid from escrow
/// @notice An account or a contract locks OPG for a request. The operator it names answers with a receipt, which is checked
/// here, and is credited; after the deadline anyone can refund the payer. Credits are pulled.
interface IInferenceEscrow {
    enum Status {
        None,
        Locked,
        Fulfilled,
        Refunded
    }

    /// @dev slot: status 8 | amount 96 | deadline 48 | lockedAt 48. Never cleared: it is the nullifier.
    struct Lock {
        Status status;
        uint96 amount;
        uint48 deadline;
        uint48 lockedAt;
    }

    event RequestLocked(bytes32 indexed requestId, address indexed operator, Request request);
    event RequestFulfilled(
        bytes32 indexed requestId,
        address signer,
        bytes32 outputHash,
        bytes32 outputBlobId,
        uint256 fee
    );
    event RequestRefunded(bytes32 indexed requestId, address indexed payer, uint256 amount);
    event Claimed(address indexed owner, address indexed to, uint256 amount);
    event ProtocolCreditSwept(address indexed to, uint256 amount);

    error WrongStatus(Status actual);
    error NotPayer(address caller, address payer);
    error DeadlinePassed(uint256 deadline);
    error DeadlineOpen(uint256 deadline);
    error FeeTooHigh(uint256 fee, uint256 maximum);
    error PriceNotMet(uint256 maxFee, uint256 price);
    error ModeNotAllowed(uint8 mode, uint8 modes);
    error TermsChanged(address royaltyTo, uint256 royaltyBps);
    error InvalidServedAt(uint256 servedAt, uint256 earliest, uint256 latest);
    error InvalidSigner(address signer, address operator);
    error ProofRequired();
    error InputMismatch(bytes32 expected, bytes32 actual);
    error InvalidProof(bytes32 requestId);
    error ProtocolFeeTooHigh(uint256 bps, uint256 maximum);

    /// @notice Locks the caller's OPG for a request whose payer is the caller. Needs an allowance.
    function lock(Request calldata request) external returns (bytes32 requestId);

    /// @notice Locks the payer's OPG by its ERC-3009 authorization, brought by anyone. The authorization's nonce is the request's
    /// id, so it pays for exactly this request; its `to` is this escrow and its value `maxFee`.
    function lockWithAuthorization(
        Request calldata request,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (bytes32 requestId);

    /// @notice Answers a request with a receipt: signed by a key of its operator that was valid for the request's mode at
    /// `servedAt`, which lies between the lock and now. Anyone may bring it. Not for mode ZKML, where an answer needs its proof.
    /// @param outputBlobId where the output is to be found; a hint, not signed.
    /// @param fee wei of OPG, at most what is locked; the payer is credited the rest.
    function fulfil(
        Request calldata request,
        bytes32 outputHash,
        bytes32 outputBlobId,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) external;

    /// @notice Answers a request of mode ZKML with a proof that its model gives this output for this input. The receipt still has
    /// to be signed by the operator: it says who is paid how much, and when the request was served. Anyone may bring it.
    /// @dev The proof is bound to this escrow, the request and its payer; see `IZkmlVerifier`.
    /// @param inWords packed input; the request's `inputHash` is their hash.
    /// @param outWords packed output; the receipt's `outputHash` is their hash.
    function fulfilWithProof(
        Request calldata request,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof,
        bytes32 outputBlobId,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) external;

    /// @notice Credits the payer of a request whose deadline has passed. Anyone.
    function refund(Request calldata request) external;

    /// @notice Pays the caller's credits out.
    function claim(address to) external returns (uint256 amount);

    /// @notice Pays the protocol's part out. Owner only.
    function sweepProtocolCredit(address to) external returns (uint256 amount);

    /// @notice The id, and nullifier, of a request: keccak256(chain id, escrow, request).
    function requestIdOf(Request calldata request) external view returns (bytes32);
}
