// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CompactSignature, Receipt} from "../receipts/ReceiptLib.sol";
import {Groth16Proof} from "../zkml/IShapeVerifier.sol";
import {Batch, Leaf} from "./IProofSettlement.sol";

/// @notice A receipt of mode ZKML with what proves it.
struct ProvenReceipt {
    Receipt receipt;
    CompactSignature sig;
    /// packed quantised tensors; the receipt's hashes are theirs
    uint256[] inWords;
    uint256[] outWords;
    Groth16Proof proof;
}

/// @title Judge of zk proofs in settlement
/// @notice A receipt of mode ZKML stands in its batch's tree with its proof beside it: the leaf is a left child, and its sibling, counted
/// as nothing, is keccak256(0x02 ‖ a ‖ b ‖ c ‖ output words ‖ input words). Whoever shows that this is missing, or does not prove
/// the receipt, or proves another output for the input of any receipt, has the settlement slash for it. A pending batch whose proofs
/// all hold is made final without votes.
/// @dev Proofs in a batch are bound to the settlement, the receipt's request and its payer. The reward is paid out at once. A revert,
/// such as for a model that cannot be used any more or for too little gas, never counts as a fault.
interface IZkReferee {
    enum Fault {
        ProofMissing,
        ProofInvalid,
        OutputRefuted
    }

    /// @notice A receipt was shown to be wrong; the settlement tells the rest in the same transaction.
    event ReceiptRefuted(
        bytes32 indexed batchId,
        bytes32 indexed requestId,
        address indexed challenger,
        Fault fault,
        uint256 reward
    );
    /// @notice All receipts of a batch were proven.
    event BatchProven(bytes32 indexed batchId, uint256 count);

    error NoFault();
    error NotZkml(uint8 mode);
    error ProofNotCommitted();
    error ProofNotShown(bytes32 expected, bytes32 actual);
    error InvalidProof(bytes32 requestId);
    error NotThisBatch(bytes32 batchId);
    error ServedOutOfRange(bytes32 requestId);
    error InvalidSigner(bytes32 requestId, address signer);
    error WordsMismatch(bytes32 requestId);
    error ModeNotAllowed(bytes32 modelId, uint8 modes);
    error PriceNotMet(bytes32 requestId, uint256 price);
    error DuplicateRequest(bytes32 requestId);
    error RoyaltiesMismatch(bytes32 modelId, uint256 expected);

    /// @notice Proves that a receipt of mode ZKML has no place for a proof beside it: no sibling, one on the left, or one that is counted.
    function challengeMissingProof(Batch calldata batch, Leaf calldata leaf) external;

    /// @notice Proves that what stands beside a receipt of mode ZKML is no proof of it.
    /// @param committed what the sibling is the keccak256 of, its first byte included.
    function challengeProof(Batch calldata batch, Leaf calldata leaf, bytes calldata committed) external;

    /// @notice Proves that the model of a receipt, of any mode, gives another output for its input.
    /// @param proof made for the caller: its context has this contract as consumer and the caller as requester, so that nobody else can
    /// use it.
    /// @param inWords hash to the receipt's `inputHash`.
    function refute(
        Batch calldata batch,
        Leaf calldata leaf,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external;

    /// @notice Makes a pending batch final by the proofs of all its receipts, which are all of mode ZKML. Anyone, within its window.
    /// @dev Checks all that verifiers would: keys, times, prices, modes and royalties as the registry has them now, requests twice in the
    /// batch; but not requests in other batches, which can be challenged as ever.
    /// @param receipts all of them, in the order of the tree.
    function settleProven(
        Batch calldata batch,
        uint256[] calldata royalties,
        ProvenReceipt[] calldata receipts
    ) external;
}
