// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cbor} from "./Cbor.sol";
import {Slice} from "./Slice.sol";

/// @title COSE_Sign1 with ES384 (RFC 9052, 4.2 and 4.4)
/// @notice Only as the Nitro Secure Module writes it: protected header {1: -35}, unprotected header empty.
library CoseSign1 {
    uint256 private constant TAG_18 = 0xd2;
    uint256 private constant ITEMS = 4;
    /// {1: -35}: algorithm ES384
    uint256 private constant ES384_HEADER = 0xa1013822;
    uint256 private constant ES384_HEADER_LENGTH = 4;
    uint256 private constant SIGNATURE_LENGTH = 96;
    /// array of 4, "Signature1", the protected header, no external data
    bytes private constant SIG_STRUCTURE_PREFIX = hex"846a5369676e61747572653144a101382240";

    error UnexpectedCoseItems(uint256 expected, uint256 found);
    /// {1: -35} is expected.
    error UnsupportedCoseHeader(bytes found);
    error UnprotectedHeaderNotEmpty(uint256 entries);
    error UnexpectedSignatureLength(uint256 expected, uint256 found);

    /// @param message tagged or not.
    /// @return payload what is signed, as it is.
    /// @return encoded the payload with its CBOR head.
    /// @return signature r ‖ s, 48 bytes each.
    function parse(Slice message) internal pure returns (Slice payload, Slice encoded, Slice signature) {
        if (message.peek(1) == TAG_18) message = message.skip(1);
        (uint256 items, Slice rest) = Cbor.head(message, Cbor.ARRAY);
        require(items == ITEMS, UnexpectedCoseItems(ITEMS, items));
        Slice header;
        (header, rest) = Cbor.readString(rest, Cbor.BYTES);
        if (header.length() != ES384_HEADER_LENGTH || header.peek(ES384_HEADER_LENGTH) != ES384_HEADER) {
            revert UnsupportedCoseHeader(header.toBytes());
        }
        uint256 entries;
        (entries, rest) = Cbor.head(rest, Cbor.MAP);
        require(entries == 0, UnprotectedHeaderNotEmpty(entries));
        Slice afterPayload;
        (payload, afterPayload) = Cbor.readString(rest, Cbor.BYTES);
        encoded = rest.upTo(afterPayload);
        (signature, rest) = Cbor.readString(afterPayload, Cbor.BYTES);
        require(
            signature.length() == SIGNATURE_LENGTH,
            UnexpectedSignatureLength(SIGNATURE_LENGTH, signature.length())
        );
        rest.requireEmpty();
    }

    /// @notice Sig_structure: the bytes a signature is over. Heads are minimal, so the payload's encoding is the one to sign.
    function signedBytes(Slice encodedPayload) internal pure returns (bytes memory) {
        return bytes.concat(SIG_STRUCTURE_PREFIX, encodedPayload.toBytes());
    }
}
