// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IModelRegistry} from "../models/IModelRegistry.sol";
import {INodeRegistry} from "../nodes/INodeRegistry.sol";
import {CompactSignature, Receipt, ReceiptLib} from "../receipts/ReceiptLib.sol";
import {OPG} from "../token/OPG.sol";
import {Groth16Proof} from "../zkml/IShapeVerifier.sol";
import {IZkmlVerifier} from "../zkml/IZkmlVerifier.sol";
import {IInferenceEscrow, Request} from "./IInferenceEscrow.sol";

/// @title Inference paid from escrow
/// @notice See `IInferenceEscrow`.
contract InferenceEscrow is IInferenceEscrow, Ownable2Step, ReentrancyGuardTransient {
    uint256 private constant BPS = 10_000;
    uint16 private constant MAX_PROTOCOL_BPS = 1_000;
    uint8 private constant MODE_ZKML = 1;

    OPG public immutable token;
    INodeRegistry public immutable nodes;
    IModelRegistry public immutable models;
    IZkmlVerifier public immutable proofs;
    /// @notice Domain separator of receipts, which is the settlement's. On a fork of the chain receipts for this escrow stay
    /// apart all the same: a request's id holds the chain id.
    bytes32 public immutable receiptDomain;
    /// @notice The protocol's part of every fee, basis points.
    uint16 public immutable protocolBps;

    mapping(bytes32 requestId => Lock) public locks;
    mapping(address owner => uint256) public credits;
    uint256 public protocolCredit;

    constructor(
        OPG token_,
        INodeRegistry nodes_,
        IModelRegistry models_,
        IZkmlVerifier proofs_,
        bytes32 receiptDomain_,
        address owner_,
        uint16 protocolBps_
    ) Ownable(owner_) {
        require(protocolBps_ <= MAX_PROTOCOL_BPS, ProtocolFeeTooHigh(protocolBps_, MAX_PROTOCOL_BPS));
        (token, nodes, models, proofs) = (token_, nodes_, models_, proofs_);
        (receiptDomain, protocolBps) = (receiptDomain_, protocolBps_);
    }

    /// @inheritdoc IInferenceEscrow
    function lock(Request calldata request) external nonReentrant returns (bytes32 requestId) {
        require(request.payer == msg.sender, NotPayer(msg.sender, request.payer));
        requestId = _open(request);
        token.transferFrom(msg.sender, address(this), request.maxFee);
    }

    /// @inheritdoc IInferenceEscrow
    function lockWithAuthorization(
        Request calldata request,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (bytes32 requestId) {
        requestId = _open(request);
        token.receiveWithAuthorization(
            request.payer,
            address(this),
            request.maxFee,
            validAfter,
            validBefore,
            requestId,
            v,
            r,
            s
        );
    }

    /// @inheritdoc IInferenceEscrow
    function fulfil(
        Request calldata request,
        bytes32 outputHash,
        bytes32 outputBlobId,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) external {
        require(request.mode != MODE_ZKML, ProofRequired());
        _pay(request, requestIdOf(request), outputHash, outputBlobId, fee, servedAt, sig);
    }

    /// @inheritdoc IInferenceEscrow
    function fulfilWithProof(
        Request calldata request,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof,
        bytes32 outputBlobId,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) external {
        require(request.mode == MODE_ZKML, ModeNotAllowed(request.mode, uint8(1 << MODE_ZKML)));
        bytes32 inputHash = keccak256(abi.encodePacked(inWords));
        require(inputHash == request.inputHash, InputMismatch(request.inputHash, inputHash));
        bytes32 requestId = requestIdOf(request);
        require(
            proofs.verify(request.modelId, requestId, request.payer, inWords, outWords, proof),
            InvalidProof(requestId)
        );
        _pay(request, requestId, keccak256(abi.encodePacked(outWords)), outputBlobId, fee, servedAt, sig);
    }

    /// @inheritdoc IInferenceEscrow
    function refund(Request calldata request) external {
        bytes32 requestId = requestIdOf(request);
        Lock memory l = locks[requestId];
        require(l.status == Status.Locked, WrongStatus(l.status));
        require(block.timestamp > l.deadline, DeadlineOpen(l.deadline));
        locks[requestId].status = Status.Refunded;
        credits[request.payer] += l.amount;
        emit RequestRefunded(requestId, request.payer, l.amount);
    }

    /// @inheritdoc IInferenceEscrow
    function claim(address to) external nonReentrant returns (uint256 amount) {
        amount = credits[msg.sender];
        credits[msg.sender] = 0;
        emit Claimed(msg.sender, to, amount);
        if (amount != 0) token.transfer(to, amount);
    }

    /// @inheritdoc IInferenceEscrow
    function sweepProtocolCredit(address to) external onlyOwner nonReentrant returns (uint256 amount) {
        amount = protocolCredit;
        protocolCredit = 0;
        emit ProtocolCreditSwept(to, amount);
        token.transfer(to, amount);
    }

    /// @inheritdoc IInferenceEscrow
    /// @dev Hashes the words of the calldata as they are: one wider than its field makes another id, which `_open` refuses to lock.
    function requestIdOf(Request calldata request) public view returns (bytes32 requestId) {
        assembly ("memory-safe") {
            // chain id | escrow | the request's eleven words, in scratch beyond the free memory pointer, which stays where it is
            let words := mload(0x40)
            mstore(words, chainid())
            mstore(add(words, 0x20), address())
            calldatacopy(add(words, 0x40), request, 0x160)
            requestId := keccak256(words, 0x1a0)
        }
    }

    /// Checks the terms and fixes them with the lock.
    function _open(Request calldata request) private returns (bytes32 requestId) {
        requestId = requestIdOf(request);
        Status status = locks[requestId].status;
        require(status == Status.None, WrongStatus(status));
        require(request.deadline > block.timestamp, DeadlinePassed(request.deadline));
        (address royaltyTo, uint16 royaltyBps, uint96 price, uint8 modes) = models.termsOf(request.modelId);
        require(
            royaltyTo == request.royaltyTo && royaltyBps == request.royaltyBps,
            TermsChanged(royaltyTo, royaltyBps)
        );
        require(request.maxFee >= price, PriceNotMet(request.maxFee, price));
        require(request.mode < 8 && (modes >> request.mode) & 1 == 1, ModeNotAllowed(request.mode, modes));
        locks[requestId] = Lock(Status.Locked, request.maxFee, request.deadline, uint48(block.timestamp));
        emit RequestLocked(requestId, request.operator, request);
    }

    /// Checks the receipt of an answer and credits everyone.
    function _pay(
        Request calldata request,
        bytes32 requestId,
        bytes32 outputHash,
        bytes32 outputBlobId,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) private {
        Lock memory l = locks[requestId];
        require(l.status == Status.Locked, WrongStatus(l.status));
        require(block.timestamp <= l.deadline, DeadlinePassed(l.deadline));
        require(fee <= l.amount, FeeTooHigh(fee, l.amount));
        // a key that was revoked before the money was locked cannot back-date its way to it
        require(
            servedAt >= l.lockedAt && servedAt <= block.timestamp,
            InvalidServedAt(servedAt, l.lockedAt, block.timestamp)
        );
        address signer = _signerOf(requestId, request, outputHash, fee, servedAt, sig);

        locks[requestId].status = Status.Fulfilled;
        uint256 protocolFee = (uint256(fee) * protocolBps) / BPS;
        uint256 royalty = (uint256(fee) * request.royaltyBps) / BPS;
        if (royalty != 0) credits[request.royaltyTo] += royalty;
        if (protocolFee != 0) protocolCredit += protocolFee;
        credits[request.operator] += fee - protocolFee - royalty;
        if (fee < l.amount) credits[request.payer] += l.amount - fee;
        emit RequestFulfilled(requestId, signer, outputHash, outputBlobId, fee);
    }

    /// The key that signed the receipt, which must be the operator's.
    function _signerOf(
        bytes32 requestId,
        Request calldata request,
        bytes32 outputHash,
        uint96 fee,
        uint64 servedAt,
        CompactSignature calldata sig
    ) private view returns (address signer) {
        bytes32 receiptHash = ReceiptLib.hash(
            Receipt(
                requestId,
                request.modelId,
                request.mode,
                request.inputHash,
                outputHash,
                request.payer,
                fee,
                servedAt
            )
        );
        signer = ReceiptLib.recover(ReceiptLib.digest(receiptDomain, receiptHash), sig);
        address operator = signer == address(0) ? address(0) : nodes.findOperator(signer, request.mode, servedAt);
        require(operator != address(0) && operator == request.operator, InvalidSigner(signer, request.operator));
    }
}
