// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISha384} from "./ISha384.sol";

/// @dev A rotation of a 64-bit number x by n is a shift of x (2^64 + 1), x twice side by side: the lower half of the result is right, the upper
/// half is not. Sums and bitwise operations carry nothing downwards, so the upper half is masked only where it would be doubled again.
///
/// The schedule and the constants are arrays of 16-byte lanes with a number in the lower half of each. One word of the schedule is two lanes,
/// which are computed at once: sums of five numbers do not reach the next lane.
///
/// Memory, from `state` on, which is the free memory pointer at the start:
///   0     a … h, 8 words
///   256   schedule, 80 lanes
///   1552  constants: their length, then 80 lanes
///   2864  the message, padded
contract Sha384 is ISha384 {
    bytes private constant CONSTANTS =
        hex"0000000000000000428a2f98d728ae2200000000000000007137449123ef65cd0000000000000000b5c0fbcfec4d3b2f0000000000000000e9b5dba58189dbbc"
        hex"00000000000000003956c25bf348b538000000000000000059f111f1b605d0190000000000000000923f82a4af194f9b0000000000000000ab1c5ed5da6d8118"
        hex"0000000000000000d807aa98a3030242000000000000000012835b0145706fbe0000000000000000243185be4ee4b28c0000000000000000550c7dc3d5ffb4e2"
        hex"000000000000000072be5d74f27b896f000000000000000080deb1fe3b1696b100000000000000009bdc06a725c712350000000000000000c19bf174cf692694"
        hex"0000000000000000e49b69c19ef14ad20000000000000000efbe4786384f25e300000000000000000fc19dc68b8cd5b50000000000000000240ca1cc77ac9c65"
        hex"00000000000000002de92c6f592b027500000000000000004a7484aa6ea6e48300000000000000005cb0a9dcbd41fbd4000000000000000076f988da831153b5"
        hex"0000000000000000983e5152ee66dfab0000000000000000a831c66d2db432100000000000000000b00327c898fb213f0000000000000000bf597fc7beef0ee4"
        hex"0000000000000000c6e00bf33da88fc20000000000000000d5a79147930aa725000000000000000006ca6351e003826f0000000000000000142929670a0e6e70"
        hex"000000000000000027b70a8546d22ffc00000000000000002e1b21385c26c92600000000000000004d2c6dfc5ac42aed000000000000000053380d139d95b3df"
        hex"0000000000000000650a73548baf63de0000000000000000766a0abb3c77b2a8000000000000000081c2c92e47edaee6000000000000000092722c851482353b"
        hex"0000000000000000a2bfe8a14cf103640000000000000000a81a664bbc4230010000000000000000c24b8b70d0f897910000000000000000c76c51a30654be30"
        hex"0000000000000000d192e819d6ef52180000000000000000d69906245565a9100000000000000000f40e35855771202a0000000000000000106aa07032bbd1b8"
        hex"000000000000000019a4c116b8d2d0c800000000000000001e376c085141ab5300000000000000002748774cdf8eeb99000000000000000034b0bcb5e19b48a8"
        hex"0000000000000000391c0cb3c5c95a6300000000000000004ed8aa4ae3418acb00000000000000005b9cca4f7763e3730000000000000000682e6ff3d6b2b8a3"
        hex"0000000000000000748f82ee5defb2fc000000000000000078a5636f43172f60000000000000000084c87814a1f0ab7200000000000000008cc702081a6439ec"
        hex"000000000000000090befffa23631e280000000000000000a4506cebde82bde90000000000000000bef9a3f7b2c679150000000000000000c67178f2e372532b"
        hex"0000000000000000ca273eceea26619c0000000000000000d186b8c721c0c2070000000000000000eada7dd6cde0eb1e0000000000000000f57d4f7fee6ed178"
        hex"000000000000000006f067aa72176fba00000000000000000a637dc5a2c898a60000000000000000113f9804bef90dae00000000000000001b710b35131c471b"
        hex"000000000000000028db77f523047d84000000000000000032caab7b40c7249300000000000000003c9ebe0a15c9bebc0000000000000000431d67c49c100d4c"
        hex"00000000000000004cc5d4becb3e42b60000000000000000597f299cfc657e2a00000000000000005fcb6fab3ad6faec00000000000000006c44198c4a475817";

    /// @inheritdoc ISha384
    function hash(bytes calldata message) external pure returns (uint128 high, uint256 low) {
        uint256 state;
        // memory-safe: allocates what is before the constants
        assembly ("memory-safe") {
            state := mload(0x40)
            mstore(0x40, add(state, 1552))
        }
        // the allocator puts them right there
        bytes memory constants = CONSTANTS;
        // memory-safe: writes to what was allocated above, and behind the free memory pointer, which nobody uses after this block
        assembly ("memory-safe") {
            // the 80 rounds on the state, by the schedule and the constants
            function compress(at) {
                let a := mload(at)
                let b := mload(add(at, 32))
                let c := mload(add(at, 64))
                let d := mload(add(at, 96))
                let e := mload(add(at, 128))
                let f := mload(add(at, 160))
                let g := mload(add(at, 192))
                let h := mload(add(at, 224))
                // a word that ends with lane t of the schedule, and 1328 further with that of the constants
                let w := add(at, 240)
                for {
                    let end := add(at, 1520)
                } lt(w, end) {
                    w := add(w, 128)
                } {
                    // eight rounds, after which the names are back where they were. Each: x = h + Σ1(e) + Ch(e, f, g) + K + W;
                    // d += x; h = x + Σ0(a) + Maj(a, b, c)
                    {
                        let x := mul(e, 0x10000000000000001)
                        x := add(
                            add(add(h, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(g, and(e, xor(f, g)))),
                            add(mload(add(w, 0)), mload(add(w, 1328)))
                        )
                        d := and(add(d, x), 0xffffffffffffffff)
                        h := mul(a, 0x10000000000000001)
                        h := and(
                            add(add(x, xor(xor(shr(28, h), shr(34, h)), shr(39, h))), or(and(a, b), and(c, or(a, b)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(d, 0x10000000000000001)
                        x := add(
                            add(add(g, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(f, and(d, xor(e, f)))),
                            add(mload(add(w, 16)), mload(add(w, 1344)))
                        )
                        c := and(add(c, x), 0xffffffffffffffff)
                        g := mul(h, 0x10000000000000001)
                        g := and(
                            add(add(x, xor(xor(shr(28, g), shr(34, g)), shr(39, g))), or(and(h, a), and(b, or(h, a)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(c, 0x10000000000000001)
                        x := add(
                            add(add(f, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(e, and(c, xor(d, e)))),
                            add(mload(add(w, 32)), mload(add(w, 1360)))
                        )
                        b := and(add(b, x), 0xffffffffffffffff)
                        f := mul(g, 0x10000000000000001)
                        f := and(
                            add(add(x, xor(xor(shr(28, f), shr(34, f)), shr(39, f))), or(and(g, h), and(a, or(g, h)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(b, 0x10000000000000001)
                        x := add(
                            add(add(e, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(d, and(b, xor(c, d)))),
                            add(mload(add(w, 48)), mload(add(w, 1376)))
                        )
                        a := and(add(a, x), 0xffffffffffffffff)
                        e := mul(f, 0x10000000000000001)
                        e := and(
                            add(add(x, xor(xor(shr(28, e), shr(34, e)), shr(39, e))), or(and(f, g), and(h, or(f, g)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(a, 0x10000000000000001)
                        x := add(
                            add(add(d, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(c, and(a, xor(b, c)))),
                            add(mload(add(w, 64)), mload(add(w, 1392)))
                        )
                        h := and(add(h, x), 0xffffffffffffffff)
                        d := mul(e, 0x10000000000000001)
                        d := and(
                            add(add(x, xor(xor(shr(28, d), shr(34, d)), shr(39, d))), or(and(e, f), and(g, or(e, f)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(h, 0x10000000000000001)
                        x := add(
                            add(add(c, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(b, and(h, xor(a, b)))),
                            add(mload(add(w, 80)), mload(add(w, 1408)))
                        )
                        g := and(add(g, x), 0xffffffffffffffff)
                        c := mul(d, 0x10000000000000001)
                        c := and(
                            add(add(x, xor(xor(shr(28, c), shr(34, c)), shr(39, c))), or(and(d, e), and(f, or(d, e)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(g, 0x10000000000000001)
                        x := add(
                            add(add(b, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(a, and(g, xor(h, a)))),
                            add(mload(add(w, 96)), mload(add(w, 1424)))
                        )
                        f := and(add(f, x), 0xffffffffffffffff)
                        b := mul(c, 0x10000000000000001)
                        b := and(
                            add(add(x, xor(xor(shr(28, b), shr(34, b)), shr(39, b))), or(and(c, d), and(e, or(c, d)))),
                            0xffffffffffffffff
                        )
                    }
                    {
                        let x := mul(f, 0x10000000000000001)
                        x := add(
                            add(add(a, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(h, and(f, xor(g, h)))),
                            add(mload(add(w, 112)), mload(add(w, 1440)))
                        )
                        e := and(add(e, x), 0xffffffffffffffff)
                        a := mul(b, 0x10000000000000001)
                        a := and(
                            add(add(x, xor(xor(shr(28, a), shr(34, a)), shr(39, a))), or(and(b, c), and(d, or(b, c)))),
                            0xffffffffffffffff
                        )
                    }
                }
                mstore(at, and(add(a, mload(at)), 0xffffffffffffffff))
                mstore(add(at, 32), and(add(b, mload(add(at, 32))), 0xffffffffffffffff))
                mstore(add(at, 64), and(add(c, mload(add(at, 64))), 0xffffffffffffffff))
                mstore(add(at, 96), and(add(d, mload(add(at, 96))), 0xffffffffffffffff))
                mstore(add(at, 128), and(add(e, mload(add(at, 128))), 0xffffffffffffffff))
                mstore(add(at, 160), and(add(f, mload(add(at, 160))), 0xffffffffffffffff))
                mstore(add(at, 192), and(add(g, mload(add(at, 192))), 0xffffffffffffffff))
                mstore(add(at, 224), and(add(h, mload(add(at, 224))), 0xffffffffffffffff))
            }

            mstore(state, 0xcbbb9d5dc1059ed8)
            mstore(add(state, 32), 0x629a292a367cd507)
            mstore(add(state, 64), 0x9159015a3070dd17)
            mstore(add(state, 96), 0x152fecd8f70e5939)
            mstore(add(state, 128), 0x67332667ffc00b31)
            mstore(add(state, 160), 0x8eb44a8768581511)
            mstore(add(state, 192), 0xdb0c2e0d64f98fa7)
            mstore(add(state, 224), 0x47b5481dbefa4fa4)

            // padding: a one bit, zeros, and the length in bits in the last 16 bytes
            let chunk := add(constants, 1312)
            calldatacopy(chunk, message.offset, message.length)
            let padding := add(chunk, message.length)
            let end := add(chunk, and(add(message.length, 144), not(127)))
            calldatacopy(padding, calldatasize(), sub(end, padding))
            mstore8(padding, 0x80)
            mstore(sub(end, 32), or(mload(sub(end, 32)), shl(3, message.length)))

            let schedule := add(state, 256)
            for {} lt(chunk, end) {
                chunk := add(chunk, 128)
            } {
                for {
                    let i := 0
                } lt(i, 128) {
                    i := add(i, 16)
                } {
                    let x := shr(128, mload(add(chunk, i)))
                    mstore(add(schedule, shl(1, i)), or(shl(128, shr(64, x)), and(x, 0xffffffffffffffff)))
                }
                // W[t] = σ1(W[t - 2]) + W[t - 7] + σ0(W[t - 15]) + W[t - 16], for t and t + 1
                let w := add(schedule, 256)
                for {
                    let last := add(schedule, 1280)
                } lt(w, last) {
                    w := add(w, 32)
                } {
                    let x := mload(sub(w, 32))
                    let twice := mul(x, 0x10000000000000001)
                    let sum := and(
                        xor(xor(shr(19, twice), shr(61, twice)), shr(6, x)),
                        0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                    )
                    x := mload(sub(w, 240))
                    twice := mul(x, 0x10000000000000001)
                    sum := add(
                        sum,
                        and(
                            xor(xor(shr(1, twice), shr(8, twice)), shr(7, x)),
                            0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                        )
                    )
                    mstore(
                        w,
                        and(
                            add(add(sum, mload(sub(w, 112))), mload(sub(w, 256))),
                            0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                        )
                    )
                }
                compress(state)
            }

            high := or(shl(64, mload(state)), mload(add(state, 32)))
            low := or(
                or(shl(192, mload(add(state, 64))), shl(128, mload(add(state, 96)))),
                or(shl(64, mload(add(state, 128))), mload(add(state, 160)))
            )
        }
    }
}
