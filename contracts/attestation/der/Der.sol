// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slice} from "../Slice.sol";

/// @title ASN.1 DER (X.690)
/// @notice Reads elements of at most 65,535 bytes. What DER says in one way only is accepted in that way only: shortest lengths,
/// shortest integers.
library Der {
    uint256 internal constant BOOLEAN = 0x01;
    uint256 internal constant INTEGER = 0x02;
    uint256 internal constant BIT_STRING = 0x03;
    uint256 internal constant OCTET_STRING = 0x04;
    uint256 internal constant OBJECT_IDENTIFIER = 0x06;
    uint256 internal constant UTC_TIME = 0x17;
    uint256 internal constant GENERALIZED_TIME = 0x18;
    uint256 internal constant SEQUENCE = 0x30;
    /// [0] and [3] of a structure, explicit
    uint256 internal constant CONTEXT_0 = 0xa0;
    uint256 internal constant CONTEXT_3 = 0xa3;

    error UnexpectedDerTag(uint256 expected, uint256 found);
    /// Tag numbers above 30 are spelled in several bytes and occur in no certificate.
    error UnsupportedDerTag(uint256 tag);
    /// The first length byte announces an indefinite length, or one of three bytes and more.
    error UnsupportedDerLength(uint256 firstByte);
    /// The length fits a shorter spelling.
    error DerLengthNotMinimal(uint256 length);
    /// Empty, negative, or with a leading zero too many.
    error InvalidDerInteger(bytes content);
    /// DER's TRUE is 0xff; FALSE is the default wherever certificates have a BOOLEAN, so it is left out.
    error InvalidDerBoolean(bytes content);

    /// @notice The first element of `input`.
    function read(Slice input) internal pure returns (uint256 tag, Slice content, Slice rest) {
        uint256 head = input.peek(2);
        tag = head >> 8;
        require(tag & 0x1f != 0x1f, UnsupportedDerTag(tag));
        uint256 length = head & 0xff;
        uint256 headSize = 2;
        if (length == 0x81) {
            length = input.peek(3) & 0xff;
            require(length >= 0x80, DerLengthNotMinimal(length));
            headSize = 3;
        } else if (length == 0x82) {
            length = input.peek(4) & 0xffff;
            require(length >= 0x100, DerLengthNotMinimal(length));
            headSize = 4;
        } else {
            require(length < 0x80, UnsupportedDerLength(length));
        }
        (content, rest) = input.skip(headSize).split(length);
    }

    /// @notice The first element of `input`, which has to have this tag.
    function read(Slice input, uint256 expectedTag) internal pure returns (Slice content, Slice rest) {
        uint256 tag;
        (tag, content, rest) = read(input);
        require(tag == expectedTag, UnexpectedDerTag(expectedTag, tag));
    }

    /// @notice The only element of `input`, which has to have this tag.
    function readOnly(Slice input, uint256 expectedTag) internal pure returns (Slice content) {
        Slice rest;
        (content, rest) = read(input, expectedTag);
        rest.requireEmpty();
    }

    /// @notice Content of an INTEGER that is not negative, without the byte that only carries its sign.
    function unsigned(Slice content) internal pure returns (Slice magnitude) {
        if (content.isEmpty() || content.peek(1) >= 0x80) revert InvalidDerInteger(content.toBytes());
        magnitude = content;
        if (content.length() > 1 && content.peek(1) == 0) {
            magnitude = content.skip(1);
            if (magnitude.peek(1) < 0x80) revert InvalidDerInteger(content.toBytes());
        }
    }

    /// @notice Refuses content of a BOOLEAN that is not TRUE.
    function requireTrue(Slice content) internal pure {
        if (content.length() != 1 || content.peek(1) != 0xff) revert InvalidDerBoolean(content.toBytes());
    }
}
