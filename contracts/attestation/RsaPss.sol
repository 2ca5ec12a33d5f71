// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017, 8.1.2 and 9.1.2)
/// @notice For the public exponent 65537 and moduli of 2,048 to 4,096 bits in steps of 256.
/// @dev With k bytes of modulus, its top bit set, the encoded message EM has k bytes as well and its parts have fixed places:
///
///     byte   0              k-66   k-65      k-33     k-1
///            PS (all zero)  0x01   salt      H        0xbc
///            '--- masked by MGF1(H) -----'
///
/// Because k is a multiple of 32 the words of EM cut it always the same way: all but the last three are PS, then come
/// 30 zeros ‖ 0x01 ‖ salt[0], then salt[1..31] ‖ H[0], then H[1..31] ‖ 0xbc.
library RsaPss {
    uint256 private constant MIN_LENGTH = 256;
    /// also half of what MODEXP takes (EIP-7823)
    uint256 private constant MAX_LENGTH = 512;

    /// @notice Whether `signature` is one of the key over a message of this digest. Malformed input is an invalid signature.
    /// @dev Reverts only when it runs out of gas: a precompile that did must not look like an invalid signature, which somebody may be
    /// punished for.
    /// @param digest SHA-256 of the message.
    /// @param signature big-endian, as long as the modulus.
    /// @param modulus big-endian, without zeros before it.
    function verify(bytes32 digest, bytes memory signature, bytes memory modulus) internal view returns (bool valid) {
        uint256 k = modulus.length;
        if (k < MIN_LENGTH || k > MAX_LENGTH || k % 32 != 0 || signature.length != k) return false;
        if (!_isModulus(modulus) || !_isLess(signature, modulus)) return false;

        // Memory-safe: writes the scratch space, and memory from the free pointer on that is not used after the block.
        //   0x00  H, 32 bytes              the input of MGF1's hashes, 36 bytes, is H ‖ counter;
        //   0x20  counter, 4 bytes         their output overwrites the counter, which is written anew for each
        //   em    k ‖ 3 ‖ k as words, then signature ‖ 65537 ‖ modulus: the input of MODEXP, 99 + 2k bytes;
        //         its output, EM, takes the place of the first k; last, the first 72 are M' = 8 zeros ‖ digest ‖ salt
        assembly ("memory-safe") {
            function orOutOfGas(done) {
                // the lengths are within what MODEXP takes and SHA-256 takes anything: nothing else can have failed
                if iszero(done) {
                    revert(0, 0)
                }
            }
            /// a word of DB: EM's at `at`, with the mask's taken off, which is SHA-256(H ‖ offset / 32) with H at 0x00
            function unmasked(begin, at) -> word {
                mstore(0x20, shl(219, sub(at, begin))) // 224 - 5: the offset is a multiple of 32
                orOutOfGas(staticcall(gas(), 2, 0x00, 36, 0x20, 32))
                word := xor(mload(at), mload(0x20))
            }

            let em := mload(0x40)
            mstore(em, k)
            mstore(add(em, 0x20), 3)
            mstore(add(em, 0x40), k)
            mcopy(add(em, 0x60), add(signature, 0x20), k)
            // writes 29 bytes more, which the modulus covers
            mstore(add(em, add(0x60, k)), shl(232, 65537))
            mcopy(add(em, add(0x63, k)), add(modulus, 0x20), k)
            orOutOfGas(staticcall(gas(), 5, em, add(0x63, shl(1, k)), em, k))

            let end := add(em, k)
            let last := mload(sub(end, 0x20))
            let h := or(shl(248, mload(sub(end, 0x40))), shr(8, last))
            mstore(0x00, h)
            // Whatever has to be zero is collected here. The top bit of EM is beyond the encoded message: it has to be zero itself, and that
            // of the mask, which may be anything, is dropped.
            let wrong := or(shr(255, mload(em)), xor(and(last, 0xff), 0xbc))
            wrong := or(wrong, shl(1, unmasked(em, em)))
            for {
                let at := add(em, 0x20)
            } lt(at, sub(end, 0x60)) {
                at := add(at, 0x20)
            } {
                wrong := or(wrong, unmasked(em, at))
            }
            let separated := unmasked(em, sub(end, 0x60))
            wrong := or(wrong, xor(shr(8, separated), 1))
            let salt := or(shl(248, separated), shr(8, unmasked(em, sub(end, 0x40))))

            mstore(em, 0)
            mstore(add(em, 8), digest)
            mstore(add(em, 40), salt)
            orOutOfGas(staticcall(gas(), 2, em, 72, 0x00, 32))
            valid := iszero(or(wrong, xor(mload(0x00), h)))
        }
    }

    /// A modulus is odd, and has its top bit set: otherwise EM would be laid out differently.
    function _isModulus(bytes memory n) private pure returns (bool yes) {
        // Memory-safe: reads the first and the last word of `n`, which has at least 256 bytes.
        assembly ("memory-safe") {
            yes := and(shr(255, mload(add(n, 0x20))), mload(add(n, mload(n))))
        }
    }

    /// Compares numbers of the same length, a multiple of 32 bytes, word by word from the top.
    function _isLess(bytes memory a, bytes memory b) private pure returns (bool less) {
        // Memory-safe: reads within `a` and `b`.
        assembly ("memory-safe") {
            for {
                let at := 0x20
            } iszero(gt(at, mload(a))) {
                at := add(at, 0x20)
            } {
                let x := mload(add(a, at))
                let y := mload(add(b, at))
                if iszero(eq(x, y)) {
                    less := lt(x, y)
                    break
                }
            }
        }
    }
}
