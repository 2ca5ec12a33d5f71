// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slice} from "./Slice.sol";

/// @title CBOR (RFC 8949)
/// @notice Definite lengths and the shortest heads only. Whether text is UTF-8 is not checked.
library Cbor {
    uint256 internal constant UNSIGNED = 0;
    uint256 internal constant BYTES = 2;
    uint256 internal constant TEXT = 3;
    uint256 internal constant ARRAY = 4;
    uint256 internal constant MAP = 5;
    uint256 private constant TAG = 6;
    uint256 private constant SIMPLE = 7;
    uint256 private constant NULL = 0xf6;

    /// Major types, RFC 8949, 3.1.
    error UnexpectedCborType(uint256 expected, uint256 found);
    /// The first byte announces an indefinite length, a break, or is reserved.
    error UnsupportedCborLength(uint256 firstByte);
    /// The number fits a shorter head: this one is for numbers from `least` on.
    error CborHeadNotMinimal(uint256 number, uint256 least);
    error CborStringTooLong(uint256 length, uint256 limit);
    /// Simple values below 32 have no second byte.
    error InvalidCborSimple(uint256 value);
    error CborTooDeep();

    /// @notice The head `input` begins with: major type and the number in it.
    function head(Slice input) internal pure returns (uint256 major, uint256 number, Slice rest) {
        uint256 first = input.peek(1);
        major = first >> 5;
        number = first & 31;
        if (number < 24) return (major, number, input.skip(1));
        require(number < 28, UnsupportedCborLength(first));
        // sizes are 1, 2, 4 and 8 bytes, so nothing below overflows
        unchecked {
            uint256 size = 1 << (number - 24);
            uint256 least = size == 1 ? 24 : 1 << (4 * size);
            number = input.peek(1 + size) & ((1 << (8 * size)) - 1);
            require(number >= least, CborHeadNotMinimal(number, least));
            rest = input.skip(1 + size);
        }
    }

    /// @notice A head of this major type.
    function head(Slice input, uint256 expectedMajor) internal pure returns (uint256 number, Slice rest) {
        uint256 major;
        (major, number, rest) = head(input);
        require(major == expectedMajor, UnexpectedCborType(expectedMajor, major));
    }

    /// @notice A string of this major type: bytes or text.
    function readString(Slice input, uint256 expectedMajor) internal pure returns (Slice content, Slice rest) {
        return readString(input, expectedMajor, type(uint64).max);
    }

    /// @notice A string of this major type of at most `limit` bytes.
    function readString(
        Slice input,
        uint256 expectedMajor,
        uint256 limit
    ) internal pure returns (Slice content, Slice rest) {
        uint256 length;
        (length, rest) = head(input, expectedMajor);
        require(length <= limit, CborStringTooLong(length, limit));
        (content, rest) = rest.split(length);
    }

    /// @notice A byte string of at most `limit` bytes; null is an empty one.
    function readOptionalBytes(Slice input, uint256 limit) internal pure returns (Slice content, Slice rest) {
        if (input.peek(1) != NULL) return readString(input, BYTES, limit);
        (, rest) = input.split(1);
        (content, ) = rest.split(0);
    }

    /// @notice What follows the value `input` begins with, which may be any well-formed one.
    /// @dev Every item takes a byte at least, so a claimed number of items costs no more than the bytes that are there.
    /// @param depth how many arrays, maps and tags may be around an innermost value.
    function skipValue(Slice input, uint256 depth) internal pure returns (Slice rest) {
        if (input.peek(1) >> 5 == SIMPLE) return _skipSimple(input);
        uint256 major;
        uint256 number;
        (major, number, rest) = head(input);
        if (major < BYTES) return rest;
        if (major < ARRAY) return rest.skip(number);
        require(depth != 0, CborTooDeep());
        uint256 items =
            major == TAG
                ? 1
                : major == MAP
                    ? 2 * number
                    : number;
        for (uint256 i; i < items; ++i) rest = skipValue(rest, depth - 1);
    }

    /// Booleans, null, undefined, other simple values, and floats of 2, 4 and 8 bytes.
    function _skipSimple(Slice input) private pure returns (Slice) {
        uint256 first = input.peek(1);
        uint256 value = first & 31;
        if (value < 24) return input.skip(1);
        require(value < 28, UnsupportedCborLength(first));
        if (value == 24) {
            value = input.peek(2) & 0xff;
            require(value >= 32, InvalidCborSimple(value));
            return input.skip(2);
        }
        return input.skip(1 + (1 << (value - 24)));
    }
}
