// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title RSA public keys as SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7, and RFC 8017, A.1)
/// @notice Reads the one encoding there is of a key with exponent 65537 and a modulus of 2,048 to 4,096 bits in steps of 256, so that
/// the hash of the bytes names the key.
/// @dev DER leaves nothing open: apart from the modulus, of k bytes, everything follows from k. All lengths lie between 256 and
/// 65,535 and take three bytes.
///
///     byte 0        30 82 <k + 34>                                  SEQUENCE
///          4          30 0d 06 09 2a 86 48 86 f7 0d 01 01 01 05 00    SEQUENCE { OID rsaEncryption, NULL }
///          19         03 82 <k + 15> 00                               BIT STRING, no bit unused
///          24           30 82 <k + 10>                                  SEQUENCE
///          28             02 82 <k + 1> 00 <modulus>                      INTEGER; the zero keeps it positive
///          k + 33         02 03 01 00 01                                  INTEGER 65537
library RsaPublicKey {
    uint256 private constant MIN_LENGTH = 256;
    uint256 private constant MAX_LENGTH = 512;
    /// bytes before the modulus, and all but the modulus
    uint256 private constant HEADER_LENGTH = 33;
    uint256 private constant OVERHEAD = 38;
    /// the first 32 bytes for k = 0, and what one byte of modulus adds to the four lengths in them
    uint256 private constant HEADER = 0x30820022_300d06092a864886f70d0101010500_0382000f00_3082000a_02820001;
    uint256 private constant LENGTHS = (1 << 224) | (1 << 72) | (1 << 32) | 1;

    /// @notice The modulus of a key, big-endian, with its top and its lowest bit set; empty when `spki` is no such key.
    function modulusOf(bytes memory spki) internal pure returns (bytes memory modulus) {
        if (spki.length < OVERHEAD) return modulus;
        uint256 k = spki.length - OVERHEAD;
        if (k < MIN_LENGTH || k > MAX_LENGTH || k % 32 != 0) return modulus;
        uint256 header;
        uint256 top;
        uint256 tail;
        // Memory-safe: reads within `spki`, which has at least 294 bytes.
        assembly ("memory-safe") {
            header := mload(add(spki, 0x20))
            // the zero and the first bit after it
            top := shr(247, mload(add(spki, 0x40)))
            // the lowest bit of the modulus and the exponent
            tail := and(mload(add(spki, mload(spki))), 0x01ffffffffff)
        }
        if (header != HEADER + k * LENGTHS || top != 1 || tail != 0x01_0203010001) return modulus;
        modulus = new bytes(k);
        // Memory-safe: copies k bytes into the k just allocated.
        assembly ("memory-safe") {
            mcopy(add(modulus, 0x20), add(spki, add(0x20, HEADER_LENGTH)), k)
        }
    }
}
