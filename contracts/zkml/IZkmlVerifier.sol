// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IZkVersions} from "../models/IZkVersions.sol";
import {Groth16Proof} from "./IShapeVerifier.sol";

/// @notice An answer of a model to a request, with its proof.
struct ProvenAnswer {
    bytes32 modelId;
    bytes32 requestId;
    address requester;
    /// packed quantised tensors, whole words of the model's shape
    uint256[] inWords;
    uint256[] outWords;
    Groth16Proof proof;
}

/// @title Proofs of answers, for any registered model
/// @notice A proof is bound to the chain, the contract that acts on it, the request, the model and the requester by its context,
/// `keccak256(abi.encode(chainid, consumer, requestId, modelId, requester)) % R`, which is computed here.
/// @dev `false` always means a bad proof; a model that cannot be used, or too little gas, reverts. Whoever punishes for a bad proof
/// must not take a revert for one. A proof can be remade by anybody (Groth16 proofs are re-randomisable), so it is no nullifier: who acts
/// on proofs keeps book of the requests it has acted on.
interface IZkmlVerifier {
    /// @notice Whether a model gave an answer to a request of the calling contract.
    /// @dev Reverts with `ZkNotUsable` for a model that is not registered, not attested, or was proven wrong.
    function verify(
        bytes32 modelId,
        bytes32 requestId,
        address requester,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external view returns (bool);

    /// @notice The same for a request of another contract.
    /// @dev This is a view, so anybody may ask about anybody's requests; but whoever acts on the answer has to fix `consumer`: to
    /// itself, or to one contract that hands out the request ids it takes. With a consumer out of a caller's hands, a proof could be
    /// used twice.
    function verifyFor(
        address consumer,
        bytes32 modelId,
        bytes32 requestId,
        address requester,
        uint256[] calldata inWords,
        uint256[] calldata outWords,
        Groth16Proof calldata proof
    ) external view returns (bool);

    /// @notice Whether all answers hold, of requests of the calling contract. Answers of one model, and models of one shape, are
    /// cheapest next to each other. False for no answers.
    function verifyBatch(ProvenAnswer[] calldata answers) external view returns (bool);

    /// @notice The same for requests of another contract; see `verifyFor`.
    function verifyBatchFor(address consumer, ProvenAnswer[] calldata answers) external view returns (bool);

    /// @notice The context signal of a request.
    function contextOf(
        address consumer,
        bytes32 requestId,
        bytes32 modelId,
        address requester
    ) external view returns (uint256);

    /// @notice Where the models are.
    function registry() external view returns (IZkVersions);
}
