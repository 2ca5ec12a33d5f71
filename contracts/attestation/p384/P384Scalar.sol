// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P384Field, P_HIGH, P_LOW} from "./P384Field.sol";
// used in assembly, where solhint does not look
// solhint-disable-next-line no-unused-import
import {DIGITS, MODEXP} from "./P384Memory.sol";

// The order of the group, a prime.
uint256 constant N_HIGH = 0xffffffffffffffffffffffffffffffff;
uint256 constant N_LOW = 0xffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973;

/// @title Scalars of P-384: inverses and products by the MODEXP precompile, and signed digits
/// @dev Addresses as in P384Field. `out` may be an argument: the precompile's input is complete before `out` is touched. A call of MODEXP can fail
/// for want of gas only; its input is within the 1,024 bytes of EIP-7823. The assembly is memory-safe: it stays within the claimed workspace.
library P384Scalar {
    /// @dev out = 1 / a (mod n) for 0 < a < n
    function inverseModN(uint256 out, uint256 a) internal view {
        invert(out, a, N_HIGH, N_LOW);
    }

    /// @dev out = 1 / a (mod p) for 0 < a < p
    function inverseModP(uint256 out, uint256 a) internal view {
        invert(out, a, P_HIGH, P_LOW);
    }

    /// @dev a^(m - 2), which is 1 / a modulo the prime m (Fermat). Both m end in more than 1, so that m - 2 borrows nothing.
    function invert(uint256 out, uint256 a, uint256 high, uint256 low) private view {
        assembly ("memory-safe") {
            // lengths of base, exponent and modulus; then these, packed
            mstore(MODEXP, 48)
            mstore(add(MODEXP, 0x20), 48)
            mstore(add(MODEXP, 0x40), 48)
            mstore(add(MODEXP, 0x60), shl(128, mload(a)))
            mstore(add(MODEXP, 0x70), mload(add(a, 32)))
            mstore(add(MODEXP, 0x90), shl(128, high))
            mstore(add(MODEXP, 0xa0), sub(low, 2))
            mstore(add(MODEXP, 0xc0), shl(128, high))
            mstore(add(MODEXP, 0xd0), low)
            mstore(out, 0)
            if iszero(staticcall(gas(), 5, MODEXP, 0xf0, add(out, 16), 48)) {
                revert(0, 0)
            }
        }
    }

    /// @dev out = a b mod n for a < 2^384 and b < n: the product's three digits as in P384Field, then MODEXP with exponent 1.
    /// The upper digit is determined here too: (2^384 - 1)(n - 1) < 2^768 - 2^513.
    function mulModN(uint256 out, uint256 a, uint256 b) internal view {
        (uint256 ah, uint256 al) = P384Field.load(a);
        (uint256 bh, uint256 bl) = P384Field.load(b);
        assembly ("memory-safe") {
            let w0 := mul(al, bl)
            let w1 := mulmod(al, bl, not(0))
            w1 := add(add(sub(sub(w1, w0), lt(w1, w0)), mul(ah, bl)), mul(al, bh))
            let t := mulmod(addmod(al, ah, not(0)), addmod(bl, bh, not(0)), not(0))
            mstore(MODEXP, 96)
            mstore(add(MODEXP, 0x20), 1)
            mstore(add(MODEXP, 0x40), 48)
            mstore(add(MODEXP, 0x60), addmod(t, not(addmod(w0, w1, not(0))), not(0)))
            mstore(add(MODEXP, 0x80), w1)
            mstore(add(MODEXP, 0xa0), w0)
            mstore8(add(MODEXP, 0xc0), 1)
            mstore(add(MODEXP, 0xc1), shl(128, N_HIGH))
            mstore(add(MODEXP, 0xd1), N_LOW)
            mstore(out, 0)
            if iszero(staticcall(gas(), 5, MODEXP, 0xf1, add(out, 16), 48)) {
                revert(0, 0)
            }
        }
    }

    /// @dev Writes a scalar below 2^384 as a sum of digits d 2^i, where d is odd, |d| < 2^(width - 1), and any two digits are at least `width` bits
    /// apart (width-w NAF). A digit goes to word i of DIGITS as 2 |d| + (d < 0), shifted left by `shift`; words without a digit stay as they are.
    ///
    /// From the lowest bit up, `carry` is what lower digits have borrowed. Where bit i equals it, bit i of what remains is zero. Where it does not,
    /// the next `width` bits are odd: they make the digit, less 2^width where that brings it nearer to zero, which is carried on.
    /// From bit 384 - width + 1 on the digit is too small to carry, so that the last one is at bit 384.
    function writeDigits(uint256 scalar, uint256 width, uint256 shift) internal pure {
        (uint256 high, uint256 low) = P384Field.load(scalar);
        assembly ("memory-safe") {
            let carry := 0
            let i := 0
            for {} lt(i, 385) {} {
                // the scalar's bits from i on; a shift by 256 or more, or by a negative number, gives zero
                let bits := or(or(shr(i, low), shl(sub(256, i), high)), shr(sub(i, 256), high))
                switch eq(and(bits, 1), carry)
                case 1 {
                    i := add(i, 1)
                }
                default {
                    let digit := add(and(bits, sub(shl(width, 1), 1)), carry)
                    carry := shr(sub(width, 1), digit)
                    if carry {
                        digit := sub(shl(width, 1), digit)
                    }
                    let slot := add(DIGITS, shl(5, i))
                    mstore(slot, or(mload(slot), shl(shift, or(shl(1, digit), carry))))
                    i := add(i, width)
                }
            }
        }
    }
}
