// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bn254} from "./Bn254.sol";
import {Groth16Proof, IShapeVerifier} from "./IShapeVerifier.sol";

/// @title Verifier of one network shape
/// @notice See `IShapeVerifier`. This is the same for every shape; the constants of its verification key are in the contracts of `shapes/`.
/// @dev A proof (A, B, C) holds when e(-A, B) · e(alpha, beta) · e(M + Σ signal_j · IC_j, gamma) · e(C, delta) = 1. The pairing
/// precompile takes groups of six words, a point of G1 and one of G2, so everything is put where it will be read. Memory:
///
///     start   n groups (-A_i, B_i)                             n · 0xc0
///     tail    alpha, beta | sum, gamma | sumC, delta           0x240, written by `_writeKey` but for the sums
///     bases   k × (IC_j, scalar)                               k · 0x60, written by `_writeKey` but for the scalars
///     sum     of commitments and bases; product to be added    0x80
///     sumC    of C; product to be added                        0x80
///     term    point, scalar                                    0x60
///
/// A batch multiplies A_i, C_i and M_i by a coefficient r_i, alpha by Σ r_i, and IC_j by Σ r_i · signal_ij.
/// A precompile that fails takes all the gas it was given. So each gets a part that is bounded, above its price by a factor that leaves
/// room for a new price, and a bad proof costs who checks it a few times what a good one does, not all that is left.
/// Every assembly block below writes only to what `_allocate` gave, to scratch, or past the free memory pointer what is not kept.
abstract contract Groth16ShapeVerifier is IShapeVerifier {
    /// Memory addresses; see above.
    struct Layout {
        uint256 start;
        uint256 tail;
        uint256 bases;
        uint256 sum;
        uint256 sumC;
        uint256 term;
    }

    uint256 private constant GROUP = 0xc0;
    uint256 private constant TAIL = 0x240;
    uint256 private constant TERM = 0x60;
    uint256 private constant SUM = 0x80;
    /// In calldata, an item is (commitment, a, b, c, signals).
    uint256 private constant A_AT = 0x40;
    uint256 private constant C_AT = 0x100;
    uint256 private constant SIGNALS_AT = 0x140;
    /// Prices at present: 150, 6,000, and 45,000 + 34,000 a group.
    uint256 private constant ADD_GAS = 1_500;
    uint256 private constant MUL_GAS = 18_000;
    uint256 private constant PAIRING_GAS = 90_000;
    uint256 private constant GROUP_GAS = 68_000;

    /// @inheritdoc IShapeVerifier
    function verify(
        uint256 mx,
        uint256 my,
        Groth16Proof calldata proof,
        uint256[] calldata signals
    ) external view returns (bool) {
        uint256 k = _signals();
        if (signals.length != k || proof.a[1] >= Bn254.Q) return false;
        Layout memory m = _allocate(1, k);
        (uint256 start, uint256 sum, uint256 sumC, uint256 base) = (m.start, m.sum, m.sumC, m.bases);
        (uint256 order, bool ok) = (Bn254.R, true);
        assembly ("memory-safe") {
            mstore(sum, mx)
            mstore(add(sum, 0x20), my)
            let end := add(signals.offset, shl(5, k))
            for {
                let next := signals.offset
            } lt(next, end) {
                next := add(next, 0x20)
            } {
                let signal := calldataload(next)
                ok := and(ok, lt(signal, order))
                mstore(add(base, 0x40), signal)
                ok := and(ok, staticcall(MUL_GAS, 7, base, TERM, add(sum, 0x40), 0x40))
                ok := and(ok, staticcall(ADD_GAS, 6, sum, SUM, sum, 0x40))
                base := add(base, TERM)
            }
            calldatacopy(start, proof, GROUP)
            calldatacopy(sumC, add(proof, GROUP), 0x40)
        }
        _negate(start);
        return _pairing(m, 1, ok);
    }

    /// @inheritdoc IShapeVerifier
    function verifyBatch(uint256[] calldata items) external view returns (bool) {
        uint256 k = _signals();
        uint256 width = SIGNALS_AT + k * 0x20;
        uint256 n = (items.length * 0x20) / width;
        if (n == 0 || items.length * 0x20 != n * width) return false;
        Layout memory m = _allocate(n, k);
        bytes32 seed = _hash(items);
        bool ok = true;
        // Σ r_i: of all items, and of those since the commitment changed
        uint256 total;
        uint256 shared;
        uint256 item;
        assembly ("memory-safe") {
            item := items.offset
        }
        for (uint256 i; i < n; ++i) {
            uint256 r = _coefficient(seed, i);
            total += r;
            shared += r;
            if (!_addSignals(m.bases, item + SIGNALS_AT, k, r)) return false;
            if (i + 1 == n || !_samePoint(item, item + width)) {
                _putTerm(m.term, item, shared);
                ok = _addMul(m.sum, m.term) && ok;
                shared = 0;
            }
            _putTerm(m.term, item + A_AT, r);
            ok = _putGroup(m.start + i * GROUP, m.term, item + A_AT) && ok;
            _putTerm(m.term, item + C_AT, r);
            ok = _addMul(m.sumC, m.term) && ok;
            item += width;
        }
        for (uint256 j; j < k; ++j) ok = _addMul(m.sum, m.bases + j * TERM) && ok;
        (uint256 tail, uint256 term) = (m.tail, m.term);
        assembly ("memory-safe") {
            mcopy(term, tail, 0x40)
            mstore(add(term, 0x40), total)
        }
        ok = _mul(term, tail) && ok;
        return _pairing(m, n, ok);
    }

    /// @dev Number of signals of a request.
    function _signals() internal pure virtual returns (uint256);

    /// @dev Writes alpha and beta to `tail`, gamma to `tail + 0x100`, delta to `tail + 0x1c0`, and the base of signal j to `tail + 0x240 + j · 0x60`.
    function _writeKey(uint256 tail) internal pure virtual;

    /// Room for n proofs of k signals, with the key in its place; scalars, sums and term are zero.
    function _allocate(uint256 n, uint256 k) private pure returns (Layout memory m) {
        uint256 start;
        assembly ("memory-safe") {
            start := mload(0x40)
        }
        m.start = start;
        m.tail = start + n * GROUP;
        m.bases = m.tail + TAIL;
        m.sum = m.bases + k * TERM;
        m.sumC = m.sum + SUM;
        m.term = m.sumC + SUM;
        uint256 size = m.term + TERM - start;
        assembly ("memory-safe") {
            mstore(0x40, add(start, size))
            // what lies past the end of calldata is zero
            calldatacopy(start, calldatasize(), size)
        }
        _writeKey(m.tail);
    }

    /// A point in calldata, and what to multiply it by.
    function _putTerm(uint256 term, uint256 point, uint256 scalar) private pure {
        assembly ("memory-safe") {
            calldatacopy(term, point, 0x40)
            mstore(add(term, 0x40), scalar)
        }
    }

    /// The group of a proof: A, which is in the term, multiplied and negated, and B.
    function _putGroup(uint256 group, uint256 term, uint256 a) private view returns (bool ok) {
        assembly ("memory-safe") {
            calldatacopy(add(group, 0x40), add(a, 0x40), 0x80)
        }
        ok = _mul(term, group);
        _negate(group);
    }

    /// Negates a point whose y is below the modulus; the identity stays what it is.
    function _negate(uint256 point) private pure {
        uint256 q = Bn254.Q;
        assembly ("memory-safe") {
            let y := add(point, 0x20)
            mstore(y, mod(sub(q, mload(y)), q))
        }
    }

    /// Seed of a batch's coefficients: nothing that is checked is left out, so nothing can be chosen after they are known. Were a
    /// coefficient to hang on its own item alone, items could be searched for whose errors cancel.
    function _hash(uint256[] calldata items) private pure returns (bytes32 seed) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, items.offset, mul(items.length, 0x20))
            seed := keccak256(free, mul(items.length, 0x20))
        }
    }

    /// 128 bits: more would cost the same, and gain nothing over the curve's own strength.
    function _coefficient(bytes32 seed, uint256 i) private pure returns (uint256 r) {
        assembly ("memory-safe") {
            mstore(0, seed)
            mstore(0x20, i)
            r := shr(128, keccak256(0, 0x40))
        }
    }

    /// scalar_j += r · signal_j, modulo the group's order. False for a signal that is not below it.
    function _addSignals(uint256 bases, uint256 signals, uint256 k, uint256 r) private pure returns (bool ok) {
        uint256 order = Bn254.R;
        ok = true;
        for (uint256 j; j < k; ++j) {
            assembly ("memory-safe") {
                let signal := calldataload(add(signals, mul(j, 0x20)))
                let scalar := add(bases, add(mul(j, TERM), 0x40))
                ok := and(ok, lt(signal, order))
                mstore(scalar, addmod(mload(scalar), mulmod(r, signal, order), order))
            }
        }
    }

    /// Of two points in calldata.
    function _samePoint(uint256 one, uint256 other) private pure returns (bool same) {
        assembly ("memory-safe") {
            let sameX := eq(calldataload(one), calldataload(other))
            same := and(sameX, eq(calldataload(add(one, 0x20)), calldataload(add(other, 0x20))))
        }
    }

    /// Multiplies the point of a term by its scalar. False when it is no point of the curve.
    function _mul(uint256 term, uint256 to) private view returns (bool ok) {
        assembly ("memory-safe") {
            ok := staticcall(MUL_GAS, 7, term, TERM, to, 0x40)
        }
    }

    /// Adds the product of a term to a sum. False when either is no point of the curve.
    function _addMul(uint256 sum, uint256 term) private view returns (bool ok) {
        ok = _mul(term, sum + 0x40);
        assembly ("memory-safe") {
            ok := and(ok, staticcall(ADD_GAS, 6, sum, SUM, sum, 0x40))
        }
    }

    /// Puts the sums in their places, and checks that the product of all pairings is one.
    /// @param ok false when a point was found bad before; the pairing runs nevertheless, so that want of gas shows at the end.
    function _pairing(Layout memory m, uint256 n, bool ok) private view returns (bool) {
        (uint256 start, uint256 tail, uint256 sum) = (m.start, m.tail, m.sum);
        uint256 gasLimit = PAIRING_GAS + GROUP_GAS * (n + 3);
        assembly ("memory-safe") {
            mcopy(add(tail, 0xc0), sum, 0x40)
            mcopy(add(tail, 0x180), add(sum, SUM), 0x40)
            ok := and(ok, staticcall(gasLimit, 8, start, mul(add(n, 3), GROUP), start, 0x20))
            ok := and(ok, mload(start))
        }
        // A call is given 63/64 of the gas there is, if that is less than it was to get. Where so little is left, it may have been.
        if (!ok) require(gasleft() > gasLimit / 63, InsufficientGas());
        return ok;
    }
}
