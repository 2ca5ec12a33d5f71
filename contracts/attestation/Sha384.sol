// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISha384} from "./ISha384.sol";

/// SHA-384 in Yul: two message-schedule lanes per word, masks only where state leaves 64 bits.
contract Sha384 is ISha384 {
    bytes internal constant KT =
        hex"428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc3956c25bf348b53859f111f1b605d019923f82a4af194f9bab1c5ed5da6d8118d807aa98a303024212835b0145706fbe243185be4ee4b28c550c7dc3d5ffb4e272be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235c19bf174cf692694e49b69c19ef14ad2efbe4786384f25e30fc19dc68b8cd5b5240ca1cc77ac9c652de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5983e5152ee66dfaba831c66d2db43210b00327c898fb213fbf597fc7beef0ee4c6e00bf33da88fc2d5a79147930aa72506ca6351e003826f142929670a0e6e7027b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed53380d139d95b3df650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353ba2bfe8a14cf10364a81a664bbc423001c24b8b70d0f89791c76c51a30654be30d192e819d6ef5218d69906245565a910f40e35855771202a106aa07032bbd1b819a4c116b8d2d0c81e376c085141ab532748774cdf8eeb9934b0bcb5e19b48a8391c0cb3c5c95a634ed8aa4ae3418acb5b9cca4f7763e373682e6ff3d6b2b8a3748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532bca273eceea26619cd186b8c721c0c207eada7dd6cde0eb1ef57d4f7fee6ed17806f067aa72176fba0a637dc5a2c898a6113f9804bef90dae1b710b35131c471b28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc431d67c49c100d4c4cc5d4becb3e42b6597f299cfc657e2a5fcb6fab3ad6faec6c44198c4a475817";
    /// @inheritdoc ISha384
    function hash(bytes calldata message) external pure returns (uint128 high, uint256 low) {
        bytes memory kt = KT;
        assembly ("memory-safe") {
            // S: state 8*32 | W: 80 lanes of 16 (+pad) | K: 80 lanes
            let S := mload(0x40)
            for {
                let i := 80
            } i {} {
                i := sub(i, 1)
                mstore(add(add(S, 1568), mul(i, 16)), shr(192, mload(add(add(kt, 32), mul(i, 8)))))
            }
            // padding in a copy
            let mp := add(S, 2880)
            let len := message.length
            let p := mp
            calldatacopy(p, message.offset, len)
            p := add(p, len)
            let end := add(mp, and(add(len, 144), not(127)))
            calldatacopy(p, calldatasize(), sub(end, p))
            mstore8(p, 0x80)
            mstore(sub(end, 32), or(mload(sub(end, 32)), shl(3, len)))
            mstore(S, 0xcbbb9d5dc1059ed8)
            mstore(add(S, 32), 0x629a292a367cd507)
            mstore(add(S, 64), 0x9159015a3070dd17)
            mstore(add(S, 96), 0x152fecd8f70e5939)
            mstore(add(S, 128), 0x67332667ffc00b31)
            mstore(add(S, 160), 0x8eb44a8768581511)
            mstore(add(S, 192), 0xdb0c2e0d64f98fa7)
            mstore(add(S, 224), 0x47b5481dbefa4fa4)
            function rnds(S_) {
                let a := mload(S_)
                let b := mload(add(S_, 32))
                let c := mload(add(S_, 64))
                let d := mload(add(S_, 96))
                let e := mload(add(S_, 128))
                let f := mload(add(S_, 160))
                let g := mload(add(S_, 192))
                let h := mload(add(S_, 224))
                let wp := add(S_, 240)
                for {
                    let z := add(S_, 1520)
                } lt(wp, z) {
                    wp := add(wp, 128)
                } {
                    {
                        let x := mul(e, 0x10000000000000001)
                        x := add(
                            add(add(h, xor(xor(shr(14, x), shr(18, x)), shr(41, x))), xor(g, and(e, xor(f, g)))),
                            add(mload(add(wp, 0)), mload(add(wp, 1328)))
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
                            add(mload(add(wp, 16)), mload(add(wp, 1344)))
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
                            add(mload(add(wp, 32)), mload(add(wp, 1360)))
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
                            add(mload(add(wp, 48)), mload(add(wp, 1376)))
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
                            add(mload(add(wp, 64)), mload(add(wp, 1392)))
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
                            add(mload(add(wp, 80)), mload(add(wp, 1408)))
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
                            add(mload(add(wp, 96)), mload(add(wp, 1424)))
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
                            add(mload(add(wp, 112)), mload(add(wp, 1440)))
                        )
                        e := and(add(e, x), 0xffffffffffffffff)
                        a := mul(b, 0x10000000000000001)
                        a := and(
                            add(add(x, xor(xor(shr(28, a), shr(34, a)), shr(39, a))), or(and(b, c), and(d, or(b, c)))),
                            0xffffffffffffffff
                        )
                    }
                }
                mstore(S_, and(add(a, mload(S_)), 0xffffffffffffffff))
                mstore(add(S_, 32), and(add(b, mload(add(S_, 32))), 0xffffffffffffffff))
                mstore(add(S_, 64), and(add(c, mload(add(S_, 64))), 0xffffffffffffffff))
                mstore(add(S_, 96), and(add(d, mload(add(S_, 96))), 0xffffffffffffffff))
                mstore(add(S_, 128), and(add(e, mload(add(S_, 128))), 0xffffffffffffffff))
                mstore(add(S_, 160), and(add(f, mload(add(S_, 160))), 0xffffffffffffffff))
                mstore(add(S_, 192), and(add(g, mload(add(S_, 192))), 0xffffffffffffffff))
                mstore(add(S_, 224), and(add(h, mload(add(S_, 224))), 0xffffffffffffffff))
            }
            for {} lt(mp, end) {
                mp := add(mp, 128)
            } {
                let W := add(S, 256)
                for {
                    let i := 0
                } lt(i, 128) {
                    i := add(i, 16)
                } {
                    let x := shr(128, mload(add(mp, i)))
                    mstore(add(W, mul(i, 2)), or(shl(128, shr(64, x)), and(x, 0xffffffffffffffff)))
                }
                let q := add(W, 256)
                for {
                    let z := add(W, 1280)
                } lt(q, z) {
                    q := add(q, 32)
                } {
                    let x := mload(sub(q, 32)) // w[t-2], w[t-1]
                    let y := mul(x, 0x10000000000000001)
                    let r := and(
                        xor(xor(shr(19, y), shr(61, y)), shr(6, x)),
                        0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                    )
                    x := mload(sub(q, 240)) // w[t-15], w[t-14]
                    y := mul(x, 0x10000000000000001)
                    r := add(
                        r,
                        and(
                            xor(xor(shr(1, y), shr(8, y)), shr(7, x)),
                            0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                        )
                    )
                    mstore(
                        q,
                        and(
                            add(add(r, mload(sub(q, 112))), mload(sub(q, 256))),
                            0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                        )
                    )
                }
                rnds(S)
            }
            high := or(shl(64, mload(S)), mload(add(S, 32)))
            low := or(
                or(shl(192, mload(add(S, 64))), shl(128, mload(add(S, 96)))),
                or(shl(64, mload(add(S, 128))), mload(add(S, 160)))
            )
        }
    }
}
