// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// used in assembly, where solhint does not look
// solhint-disable-next-line no-unused-import
import {P384Field as F, P_HIGH, P_LOW} from "./P384Field.sol";
import {
    ACC_X,
    ACC_Y2,
    ACC_Z,
    ADDEND_X,
    ADDEND_Y2,
    BIG_Z,
    DIGITS,
    DIGITS_END,
    KEY_TABLE,
    KEY_X,
    KEY_Y,
    RATIOS,
    T0,
    T1,
    T2,
    T3,
    T4,
    TWICE_KEY_X,
    TWICE_KEY_Y
} from "./P384Memory.sol";
import {P384Scalar} from "./P384Scalar.sol";

// Q, 3Q, … 15Q: digits of width 5
uint256 constant KEY_WIDTH = 5;
uint256 constant KEY_TABLE_LAST = KEY_TABLE + 7 * 128;

/// @title Points of P-384, y² = x³ - 3x + b
/// @dev The accumulator is Jacobian, with 2y in place of y: that spares a doubling and a halving in each `double`. Infinity is Z = 0.
/// The group's order is an odd prime and the cofactor 1: a point but infinity has y != 0 and prime order.
/// The assembly is memory-safe: it writes within the claimed workspace only.
library P384Curve {
    /// @dev Y² = X³ - 3X + B for X and Y below p
    function isOnCurve(uint256 x, uint256 y) internal pure returns (bool) {
        F.sqr(T0, x);
        F.store(T1, 0, 3);
        F.sub(T0, T0, T1);
        F.mul(T0, T0, x);
        F.sqr(T1, y);
        F.sub(T0, T1, T0);
        F.store(
            T1,
            0xb3312fa7e23ee7e4988e056be3f82d19,
            0x181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef
        );
        return F.equal(T0, T1);
    }

    /// @dev accumulator = 2 accumulator, infinity included: Z = 0 gives Z = 0.
    /// With W = 2Y: Z' = 2YZ = WZ; S = 4XY² = XW²; M = 3(X - Z²)(X + Z²); X' = M² - 2S; Y' = M(S - X') - 8Y⁴, so W' = M 2(S - X') - (W²)².
    function double() internal pure {
        F.sqr(T0, ACC_Z);
        F.mul(ACC_Z, ACC_Y2, ACC_Z);
        F.sqr(T1, ACC_Y2);
        F.mul(T2, ACC_X, T1);
        F.sub(T3, ACC_X, T0);
        F.tripleSum(T4, ACC_X, T0);
        F.mul(T3, T3, T4);
        F.sqrSubTwice(ACC_X, T3, T2);
        F.twiceDifference(T2, T2, ACC_X);
        F.sqr(T1, T1);
        F.mulSub(ACC_Y2, T3, T2, T1);
    }

    /// @dev accumulator = accumulator + addend, for any two points.
    /// With the addend (x, v = 2y) and W = 2Y: H = x Z² - X; r = v Z³ - W; Z' = 2HZ; I = (2H)²; J = HI; V = XI; X' = r² - J - 2V;
    /// Y' = r(V - X') - 2YJ, so W' = r 2(V - X') - 2WJ. H is zero where the points have the same x: then r is zero too and the sum is twice the
    /// addend, or r is not and the points are opposite.
    function addAddend() internal pure {
        if (F.isZero(ACC_Z)) return setToAddend();
        F.sqr(T0, ACC_Z);
        F.mul(T1, T0, ACC_Z);
        F.mulSub(T2, ADDEND_X, T0, ACC_X);
        F.mulSub(T3, ADDEND_Y2, T1, ACC_Y2);
        if (F.isZero(T2)) {
            if (F.isZero(T3)) {
                setToAddend();
                double();
            } else {
                F.store(ACC_Z, 0, 0);
            }
            return;
        }
        F.twice(T0, T2);
        F.mul(ACC_Z, ACC_Z, T0);
        F.sqr(T0, T0);
        F.mul(T2, T2, T0);
        F.mul(T0, ACC_X, T0);
        F.sqrSubSum(ACC_X, T3, T2, T0);
        F.twiceDifference(T0, T0, ACC_X);
        F.mul(T1, ACC_Y2, T2);
        F.mulSubTwice(ACC_Y2, T3, T0, T1);
    }

    /// @dev KEY_TABLE = Q, 3Q, … 15Q as affine (x, 2y), for a point Q in KEY_X and KEY_Y.
    ///
    /// Points over the same Z add cheaply (Meloni, "New point addition formulae for ECC applications", 2007): so 2Q and the last odd multiple are kept
    /// over one Z, which each step multiplies by the difference of their x, the ratio. No ratio is zero: 2Q = ±kQ would need an order of at most 17.
    /// One inversion then gives 1/Z of 15Q, and a multiplication by its ratio that of 13Q, and so on.
    function makeKeyTable() internal view {
        unchecked {
            // 2Q is (X, Y) over Z, with W = 2Y; over 2Z it is (4X, 8Y), where 8Y = 4W needs no halving
            F.copy(ADDEND_X, KEY_X);
            F.twice(ADDEND_Y2, KEY_Y);
            setToAddend();
            double();
            F.twice(TWICE_KEY_X, ACC_X);
            F.twice(TWICE_KEY_X, TWICE_KEY_X);
            F.twice(TWICE_KEY_Y, ACC_Y2);
            F.twice(TWICE_KEY_Y, TWICE_KEY_Y);
            F.twice(BIG_Z, ACC_Z);
            scale(KEY_TABLE, KEY_X, BIG_Z);

            uint256 ratio = RATIOS;
            for (uint256 entry = KEY_TABLE; entry < KEY_TABLE_LAST; entry += 128) {
                // (x1, y1) = 2Q and (x2, y2) = the entry: d = x1 - x2, A = x1 d², B = x2 d² = A - d³, x3 = (y1 - y2)² - A - B,
                // y3 = (y1 - y2)(A - x3) - y1 d³, over Z d; 2Q is (A, y1 d³) there
                ratio += 64;
                F.sub(ratio, TWICE_KEY_X, entry);
                F.sub(T2, TWICE_KEY_Y, entry + 64);
                F.mul(BIG_Z, BIG_Z, ratio);
                scale(TWICE_KEY_X, TWICE_KEY_X, ratio);
                F.sub(T1, TWICE_KEY_X, T0);
                F.sqr(T0, T2);
                F.sub(T0, T0, T1);
                F.sub(entry + 128, T0, TWICE_KEY_X);
                F.sub(T0, TWICE_KEY_X, entry + 128);
                F.mulSub(entry + 192, T2, T0, TWICE_KEY_Y);
            }

            P384Scalar.inverseModP(BIG_Z, BIG_Z);
            for (uint256 entry = KEY_TABLE_LAST; entry > KEY_TABLE; entry -= 128) {
                scale(entry, entry, BIG_Z);
                F.twice(entry + 64, entry + 64);
                F.mul(BIG_Z, BIG_Z, ratio);
                ratio -= 64;
            }
            F.copy(KEY_TABLE, ADDEND_X);
            F.copy(KEY_TABLE + 64, ADDEND_Y2);
        }
    }

    /// @dev accumulator = u1 G + u2 Q, from DIGITS, which are not all zero; `generatorTable` is the address of G, 3G, … packed into 96 bytes each.
    function combine(uint256 generatorTable) internal pure {
        unchecked {
            F.store(ACC_Z, 0, 0);
            uint256 slot = DIGITS_END - 32;
            uint256 digits = digitsAt(slot);
            while (digits == 0) {
                slot -= 32;
                digits = digitsAt(slot);
            }
            while (true) {
                if (digits != 0) {
                    uint256 digit = digits & 0xffff;
                    if (digit != 0) {
                        assembly ("memory-safe") {
                            mcopy(ADDEND_X, add(KEY_TABLE, shl(7, shr(2, digit))), 128)
                        }
                        addSigned(digit);
                    }
                    digit = digits >> 128;
                    if (digit != 0) {
                        assembly ("memory-safe") {
                            let entry := add(generatorTable, mul(shr(2, digit), 96))
                            mstore(ADDEND_X, shr(128, mload(entry)))
                            mstore(add(ADDEND_X, 32), mload(add(entry, 16)))
                            mstore(ADDEND_Y2, shr(128, mload(add(entry, 48))))
                            mstore(add(ADDEND_Y2, 32), mload(add(entry, 64)))
                        }
                        addSigned(digit);
                    }
                }
                if (slot == DIGITS) break;
                slot -= 32;
                double();
                digits = digitsAt(slot);
            }
        }
    }

    /// @dev Adds the addend, or its opposite where the digit is negative: 2y is not zero, so p - 2y is below p.
    function addSigned(uint256 digit) private pure {
        assembly ("memory-safe") {
            if and(digit, 1) {
                let low := mload(add(ADDEND_Y2, 32))
                mstore(ADDEND_Y2, sub(sub(P_HIGH, mload(ADDEND_Y2)), lt(P_LOW, low)))
                mstore(add(ADDEND_Y2, 32), sub(P_LOW, low))
            }
        }
        addAddend();
    }

    function setToAddend() private pure {
        F.copy(ACC_X, ADDEND_X);
        F.copy(ACC_Y2, ADDEND_Y2);
        F.store(ACC_Z, 0, 1);
    }

    /// @dev out = (x z², y z³) for a point (x, y); leaves z³ in T0
    function scale(uint256 out, uint256 point, uint256 z) private pure {
        unchecked {
            F.sqr(T0, z);
            F.mul(out, point, T0);
            F.mul(T0, T0, z);
            F.mul(out + 64, point + 64, T0);
        }
    }

    function digitsAt(uint256 slot) private pure returns (uint256 digits) {
        assembly ("memory-safe") {
            digits := mload(slot)
        }
    }
}
