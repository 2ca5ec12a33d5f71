// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A Groth16 proof over bn254. Points are affine, coordinates below the field's modulus; (0, 0) is the identity.
struct Groth16Proof {
    uint256[2] a;
    /// x imaginary, x real, y imaginary, y real: the order of the pairing precompile
    uint256[4] b;
    uint256[2] c;
}

/// @title Proofs that a model of one network shape gave an answer
/// @notice One circuit serves every model of a shape: weights, biases and flags are public inputs, and their part of the public-input
/// sum, `IC_0 + Σ w_j · IC_w[j]`, is one point that stands for the model: its commitment. What remains of the public inputs are the
/// request's signals: output words, context, input words, in this order.
/// @dev `false` always means that the proof is bad. Where a call got too little gas to tell, it reverts.
interface IShapeVerifier {
    /// @dev A precompile failed, and may have failed for want of gas. Call again with more.
    error InsufficientGas();

    /// @notice Whether a proof holds for a model and the signals of a request.
    /// @dev Numbers out of range, points off the curve and a wrong number of signals give false.
    /// @param mx commitment of the model, x.
    /// @param my commitment of the model, y. Who passes it answers for it: a made-up point proves anything.
    /// @param signals `outputWords()` words, the context, `inputWords()` words, each below the order of the group.
    function verify(
        uint256 mx,
        uint256 my,
        Groth16Proof calldata proof,
        uint256[] calldata signals
    ) external view returns (bool);

    /// @notice Whether all of many proofs hold, for one model or several of this shape; n proofs take n + 3 pairings.
    /// @dev Checks one random linear combination. The coefficients (128 bits) come from a hash over every word given here, so that
    /// no proof can be chosen to make up for another: a batch with a bad proof passes with a chance of 2^-128. False for no items.
    /// @param items per proof, without anything between: mx, my, a (2 words), b (4), c (2), then the signals as for `verify`.
    /// Neighbours of one model save a multiplication each.
    function verifyBatch(uint256[] calldata items) external view returns (bool);

    /// @notice Number of packed input words of a request.
    function inputWords() external view returns (uint256);

    /// @notice Number of packed output words of a request.
    function outputWords() external view returns (uint256);

    /// @notice Widths of the network, from its inputs to its outputs.
    function dims() external view returns (uint256[] memory);

    /// @notice Length of the model vector: layer by layer its weights [out][in] and biases, then a flag for each hidden layer.
    function slots() external view returns (uint256);

    /// @notice `IC_0`, where the sum of a commitment begins.
    function origin() external view returns (uint256 x, uint256 y);

    /// @notice Hash chain over the points of the model vector, x ‖ y, in chunks of 128: h ← keccak256(h ‖ chunk), from zero.
    function basesHash() external view returns (bytes32);

    /// @notice keccak256 of the verification key: alpha, beta, gamma, delta, `IC_0`, the signals' points, `basesHash()`.
    function keyHash() external view returns (bytes32);

    /// @notice Whether whoever ran the setup, or read its source, can prove whatever it likes.
    function isDevelopment() external view returns (bool);
}
