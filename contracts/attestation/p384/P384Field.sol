// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The prime p = 2^384 - 2^128 - 2^96 + 2^32 - 1 in two words, and three times it.
uint256 constant P_HIGH = 0xffffffffffffffffffffffffffffffff;
uint256 constant P_LOW = 0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff;
uint256 constant P3_HIGH = 0x2ffffffffffffffffffffffffffffffff;
uint256 constant P3_LOW = 0xfffffffffffffffffffffffffffffffcfffffffd0000000000000002fffffffd;

// C = 2^384 - p, so that 2^384 = C (mod p), and D = C - 2^128, so that 2^384 - C = -D (mod 2^256 - 1).
uint256 constant C = 0x100000000ffffffffffffffff00000001;
uint256 constant D = 0xffffffffffffffff00000001;

uint256 constant MASK_128 = 0xffffffffffffffffffffffffffffffff;

/// @title Arithmetic modulo the prime of P-384
/// @notice Arguments are addresses of numbers: 64 bytes, the high 128 bits in the first word, the low 256 bits in the second.
/// @dev Every number read is below p, and so is every number written. Each function has read all its arguments before it writes, so `out` may be
/// any of them. Constant addresses are folded into the code.
///
/// The four products below end alike; they repeat their lines because a call of a shared function costs a tenth of a product. What they compute, with
/// M = 2^256 - 1, for T = a b + y where y < 4 p:
///
/// 1. *Digits of T = w2 2^512 + w1 2^256 + w0.* w0 and w1 are T's lower digits, taken modulo 2^256: al bl = hi 2^256 + lo has
///    lo = mul(al, bl) and hi + lo = mulmod(al, bl, M) (mod M), hence hi = that - lo, less one where it borrows. What of ah bl + al bh
///    does not fit into w1 belongs to w2, which is not computed from carries at all: 2^256 = 1 (mod M), so T = (ah + al)(bh + bl) + yh + yl =
///    w2 + w1 + w0 (mod M). That determines w2, since w2 < M: T <= (p - 1)² + 4 p < 2^768 - 2^513, so w2 <= 2^256 - 3.
/// 2. *Quotient.* T = H 2^384 + L with H = w2 2^128 + floor(w1 / 2^128) = th 2^256 + tl. Replacing 2^384 by C once gives V = H C + L
///    = 2^256 s + e with s = w2 + th D + (w1 mod 2^128) and 0 <= e < 2^352 + 2^258 (what is left: tl D, the high half of w1 and w0).
///    u = floor(s / 2^128) is computed as th + floor((w2 mod 2^128 + th D + w1 mod 2^128) / 2^128), where nothing passes 2^256.
/// 3. *Remainder.* R = T - (H + u) p = V - u 2^384 + u C. From 0 <= s 2^256 - u 2^384 < 2^384, and u <= 2^128 + 2^97:
///    0 <= R < 2^384 + 2^352 + 2^259 < 2 p. Its lower word is rl = w0 + (tl + u) C, modulo 2^256. The upper is again had from the residue:
///    -p = D (mod M), so rh = T + (H + u) D - rl (mod M), which determines rh, since rh < 2^129.
/// 4. R is below p whenever rh < P_HIGH, which is 2^128 - 1. Otherwise (one time in 2^32, or for numbers close to p) `subtractP` looks closer.
library P384Field {
    /// @dev out = a b
    function mul(uint256 out, uint256 a, uint256 b) internal pure {
        (uint256 ah, uint256 al) = load(a);
        (uint256 bh, uint256 bl) = load(b);
        (ah, al) = product(ah, al, bh, bl);
        store(out, ah, al);
    }

    /// @dev out = a²
    function sqr(uint256 out, uint256 a) internal pure {
        (uint256 ah, uint256 al) = load(a);
        (ah, al) = square(ah, al);
        store(out, ah, al);
    }

    /// @dev out = a b - c
    function mulSub(uint256 out, uint256 a, uint256 b, uint256 c) internal pure {
        (uint256 yh, uint256 yl) = load(c);
        assembly ("memory-safe") {
            // p - c, of 1 … p
            yh := sub(sub(P_HIGH, yh), lt(P_LOW, yl))
            yl := sub(P_LOW, yl)
        }
        productPlus(out, a, b, yh, yl);
    }

    /// @dev out = a b - 2 c
    function mulSubTwice(uint256 out, uint256 a, uint256 b, uint256 c) internal pure {
        (uint256 yh, uint256 yl) = load(c);
        assembly ("memory-safe") {
            // 2 (p - c), of 2 … 2 p
            yh := sub(sub(P_HIGH, yh), lt(P_LOW, yl))
            yl := sub(P_LOW, yl)
            yh := or(shl(1, yh), shr(255, yl))
            yl := shl(1, yl)
        }
        productPlus(out, a, b, yh, yl);
    }

    /// @dev out = a² - 2 c
    function sqrSubTwice(uint256 out, uint256 a, uint256 c) internal pure {
        (uint256 yh, uint256 yl) = load(c);
        assembly ("memory-safe") {
            // 2 (p - c), of 2 … 2 p
            yh := sub(sub(P_HIGH, yh), lt(P_LOW, yl))
            yl := sub(P_LOW, yl)
            yh := or(shl(1, yh), shr(255, yl))
            yl := shl(1, yl)
        }
        squarePlus(out, a, yh, yl);
    }

    /// @dev out = a² - c - 2 d
    function sqrSubSum(uint256 out, uint256 a, uint256 c, uint256 d) internal pure {
        (uint256 yh, uint256 yl) = load(d);
        (uint256 ch, uint256 cl) = load(c);
        assembly ("memory-safe") {
            // 3 p - (c + 2 d), of 3 … 3 p
            yh := or(shl(1, yh), shr(255, yl))
            yl := add(shl(1, yl), cl)
            yh := add(add(yh, ch), lt(yl, cl))
            yh := sub(sub(P3_HIGH, yh), lt(P3_LOW, yl))
            yl := sub(P3_LOW, yl)
        }
        squarePlus(out, a, yh, yl);
    }

    /// @dev out = a - b
    function sub(uint256 out, uint256 a, uint256 b) internal pure {
        (uint256 ah, uint256 al) = load(a);
        (uint256 bh, uint256 bl) = load(b);
        assembly ("memory-safe") {
            // above -p and below p, in two's complement
            bh := sub(sub(ah, bh), lt(al, bl))
            bl := sub(al, bl)
            // where negative, add p = 2^384 - C
            if shr(255, bh) {
                bh := add(sub(bh, lt(bl, C)), 0x100000000000000000000000000000000)
                bl := sub(bl, C)
            }
        }
        store(out, bh, bl);
    }

    /// @dev out = 2 a
    function twice(uint256 out, uint256 a) internal pure {
        (uint256 high, uint256 low) = load(a);
        assembly ("memory-safe") {
            high := or(shl(1, high), shr(255, low))
            low := shl(1, low)
        }
        fold(out, high, low);
    }

    /// @dev out = 3 (a + b)
    function tripleSum(uint256 out, uint256 a, uint256 b) internal pure {
        (uint256 high, uint256 low) = load(a);
        (uint256 bh, uint256 bl) = load(b);
        assembly ("memory-safe") {
            // below 2 p, then below 6 p
            low := add(low, bl)
            high := add(add(high, bh), lt(low, bl))
            bl := shl(1, low)
            high := add(mul(3, high), shr(255, low))
            low := add(low, bl)
            high := add(high, lt(low, bl))
        }
        fold(out, high, low);
    }

    /// @dev out = 2 (a - b)
    function twiceDifference(uint256 out, uint256 a, uint256 b) internal pure {
        (uint256 ah, uint256 al) = load(a);
        (uint256 high, uint256 low) = load(b);
        assembly ("memory-safe") {
            // 2 (p - b + a), of 2 … 4 p
            high := sub(sub(P_HIGH, high), lt(P_LOW, low))
            low := add(sub(P_LOW, low), al)
            high := add(add(high, ah), lt(low, al))
            high := or(shl(1, high), shr(255, low))
            low := shl(1, low)
            // as `fold` does, whose call would cost more than it computes
            ah := mul(shr(128, high), C)
            low := add(low, ah)
            high := add(and(high, MASK_128), lt(low, ah))
        }
        if (high > P_HIGH - 1) (high, low) = subtractP(high, low);
        store(out, high, low);
    }

    /// @dev a = 0
    function isZero(uint256 a) internal pure returns (bool zero) {
        assembly ("memory-safe") {
            zero := iszero(or(mload(a), mload(add(a, 32))))
        }
    }

    /// @dev a = b
    function equal(uint256 a, uint256 b) internal pure returns (bool same) {
        assembly ("memory-safe") {
            same := and(eq(mload(a), mload(b)), eq(mload(add(a, 32)), mload(add(b, 32))))
        }
    }

    /// @dev memory-safe here and below: addresses are of the workspace, which the verifier has claimed
    function load(uint256 a) internal pure returns (uint256 high, uint256 low) {
        assembly ("memory-safe") {
            high := mload(a)
            low := mload(add(a, 32))
        }
    }

    function copy(uint256 out, uint256 a) internal pure {
        assembly ("memory-safe") {
            mcopy(out, a, 64)
        }
    }

    function store(uint256 out, uint256 high, uint256 low) internal pure {
        assembly ("memory-safe") {
            mstore(out, high)
            mstore(add(out, 32), low)
        }
    }

    /// @dev a b, as argued above with y = 0
    function product(uint256 ah, uint256 al, uint256 bh, uint256 bl) private pure returns (uint256 rh, uint256 rl) {
        assembly ("memory-safe") {
            let w1 := add(mul(ah, bl), mul(al, bh))
            let w0 := mul(al, bl)
            let t := mulmod(al, bl, not(0))
            w1 := add(w1, sub(sub(t, w0), lt(t, w0)))
            t := mulmod(addmod(al, ah, not(0)), addmod(bl, bh, not(0)), not(0))
            let w2 := addmod(t, not(addmod(w0, w1, not(0))), not(0))
            let tl := or(shl(128, w2), shr(128, w1))
            w1 := and(w1, MASK_128)
            let th := shr(128, w2)
            w2 := and(w2, MASK_128)
            let u := add(th, shr(128, add(add(w2, mul(th, D)), w1)))
            rl := add(w0, mul(add(tl, u), C))
            rh := addmod(addmod(mulmod(addmod(add(th, u), tl, not(0)), D, not(0)), t, not(0)), not(rl), not(0))
        }
        if (rh > P_HIGH - 1) (rh, rl) = subtractP(rh, rl);
    }

    /// @dev a², as argued above with y = 0
    function square(uint256 ah, uint256 al) private pure returns (uint256 rh, uint256 rl) {
        assembly ("memory-safe") {
            let w0 := mul(al, al)
            let w1 := mulmod(al, al, not(0))
            w1 := add(shl(1, mul(ah, al)), sub(sub(w1, w0), lt(w1, w0)))
            let t := addmod(al, ah, not(0))
            t := mulmod(t, t, not(0))
            let w2 := addmod(t, not(addmod(w0, w1, not(0))), not(0))
            let tl := or(shl(128, w2), shr(128, w1))
            w1 := and(w1, MASK_128)
            let th := shr(128, w2)
            w2 := and(w2, MASK_128)
            let u := add(th, shr(128, add(add(w2, mul(th, D)), w1)))
            rl := add(w0, mul(add(tl, u), C))
            rh := addmod(addmod(mulmod(addmod(add(th, u), tl, not(0)), D, not(0)), t, not(0)), not(rl), not(0))
        }
        if (rh > P_HIGH - 1) (rh, rl) = subtractP(rh, rl);
    }

    /// @dev out = a b + y for y < 4 p
    function productPlus(uint256 out, uint256 a, uint256 b, uint256 yh, uint256 yl) private pure {
        (uint256 ah, uint256 al) = load(a);
        (uint256 bh, uint256 bl) = load(b);
        uint256 rh;
        uint256 rl;
        assembly ("memory-safe") {
            let w1 := add(mul(ah, bl), mul(al, bh))
            let w0 := mul(al, bl)
            let t := mulmod(al, bl, not(0))
            w1 := add(w1, sub(sub(t, w0), lt(t, w0)))
            t := mulmod(addmod(al, ah, not(0)), addmod(bl, bh, not(0)), not(0))
            w0 := add(w0, yl)
            w1 := add(add(w1, yh), lt(w0, yl))
            t := addmod(t, addmod(yh, yl, not(0)), not(0))
            let w2 := addmod(t, not(addmod(w0, w1, not(0))), not(0))
            let tl := or(shl(128, w2), shr(128, w1))
            w1 := and(w1, MASK_128)
            let th := shr(128, w2)
            w2 := and(w2, MASK_128)
            let u := add(th, shr(128, add(add(w2, mul(th, D)), w1)))
            rl := add(w0, mul(add(tl, u), C))
            rh := addmod(addmod(mulmod(addmod(add(th, u), tl, not(0)), D, not(0)), t, not(0)), not(rl), not(0))
        }
        if (rh > P_HIGH - 1) (rh, rl) = subtractP(rh, rl);
        store(out, rh, rl);
    }

    /// @dev out = a² + y for y < 4 p
    function squarePlus(uint256 out, uint256 a, uint256 yh, uint256 yl) private pure {
        (uint256 ah, uint256 al) = load(a);
        uint256 rh;
        uint256 rl;
        assembly ("memory-safe") {
            let w0 := mul(al, al)
            let w1 := mulmod(al, al, not(0))
            w1 := add(shl(1, mul(ah, al)), sub(sub(w1, w0), lt(w1, w0)))
            let t := addmod(al, ah, not(0))
            t := mulmod(t, t, not(0))
            w0 := add(w0, yl)
            w1 := add(add(w1, yh), lt(w0, yl))
            t := addmod(t, addmod(yh, yl, not(0)), not(0))
            let w2 := addmod(t, not(addmod(w0, w1, not(0))), not(0))
            let tl := or(shl(128, w2), shr(128, w1))
            w1 := and(w1, MASK_128)
            let th := shr(128, w2)
            w2 := and(w2, MASK_128)
            let u := add(th, shr(128, add(add(w2, mul(th, D)), w1)))
            rl := add(w0, mul(add(tl, u), C))
            rh := addmod(addmod(mulmod(addmod(add(th, u), tl, not(0)), D, not(0)), t, not(0)), not(rl), not(0))
        }
        if (rh > P_HIGH - 1) (rh, rl) = subtractP(rh, rl);
        store(out, rh, rl);
    }

    /// @dev out = a number below 6 p: with k = floor(h / 2^128) <= 5, subtracting k p = k 2^384 - k C leaves less than 2^384 + 5 C < 2 p
    function fold(uint256 out, uint256 high, uint256 low) private pure {
        assembly ("memory-safe") {
            let t := mul(shr(128, high), C)
            low := add(low, t)
            high := add(and(high, MASK_128), lt(low, t))
        }
        if (high > P_HIGH - 1) (high, low) = subtractP(high, low);
        store(out, high, low);
    }

    /// @dev A number below 2 p, modulo p.
    function subtractP(uint256 high, uint256 low) private pure returns (uint256, uint256) {
        assembly ("memory-safe") {
            if or(gt(high, P_HIGH), iszero(lt(low, P_LOW))) {
                high := sub(sub(high, P_HIGH), lt(low, P_LOW))
                low := sub(low, P_LOW)
            }
        }
        return (high, low);
    }
}
