// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slice} from "../Slice.sol";
import {Der} from "../der/Der.sol";

/// @title Extensions of a certificate (RFC 5280, 4.2)
/// @notice basicConstraints and keyUsage have to be there and to agree; others are skipped unless they are critical. None may occur twice.
library X509Extensions {
    uint256 private constant MAX_EXTENSIONS = 16;
    /// id-ce-basicConstraints and id-ce-keyUsage, content bytes of the OBJECT IDENTIFIERs
    uint256 private constant BASIC_CONSTRAINTS = 0x551d13;
    uint256 private constant KEY_USAGE = 0x551d0f;
    uint256 private constant DIGITAL_SIGNATURE = 0x80;
    uint256 private constant KEY_CERT_SIGN = 0x04;

    error TooManyExtensions(uint256 limit);
    error DuplicateExtension(bytes oid);
    error UnknownCriticalExtension(bytes oid);
    error MissingBasicConstraints();
    error MissingKeyUsage();
    /// A BIT STRING of one byte is expected, with the number of its unused bits before it.
    error InvalidKeyUsage(bytes content);
    /// A CA has to have keyCertSign; any other certificate has to have digitalSignature and must not have keyCertSign.
    error KeyUsageMismatch(bool isCa, uint256 keyUsage);

    /// @param list content of the Extensions SEQUENCE.
    /// @return isCa what basicConstraints say.
    /// @return pathLength their pathLenConstraint; 255 when there is none or a greater one.
    function parse(Slice list) internal pure returns (bool isCa, uint8 pathLength) {
        bytes32[] memory seen = new bytes32[](MAX_EXTENSIONS);
        bool constrained;
        uint256 keyUsage;
        for (uint256 count; !list.isEmpty(); ++count) {
            require(count < MAX_EXTENSIONS, TooManyExtensions(MAX_EXTENSIONS));
            Slice extension;
            (extension, list) = Der.read(list, Der.SEQUENCE);
            (Slice oid, bool critical, Slice value) = _parts(extension);
            _requireNew(seen, count, oid);
            uint256 id = oid.length() == 3 ? oid.peek(3) : 0;
            if (id == BASIC_CONSTRAINTS) {
                (isCa, pathLength) = _basicConstraints(value);
                constrained = true;
            } else if (id == KEY_USAGE) {
                keyUsage = _keyUsage(value);
            } else if (critical) {
                revert UnknownCriticalExtension(oid.toBytes());
            }
        }
        require(constrained, MissingBasicConstraints());
        require(keyUsage != 0, MissingKeyUsage());
        uint256 role = keyUsage & (DIGITAL_SIGNATURE | KEY_CERT_SIGN);
        require(isCa ? role & KEY_CERT_SIGN != 0 : role == DIGITAL_SIGNATURE, KeyUsageMismatch(isCa, keyUsage));
    }

    /// Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
    function _parts(Slice extension) private pure returns (Slice oid, bool critical, Slice value) {
        Slice rest;
        (oid, rest) = Der.read(extension, Der.OBJECT_IDENTIFIER);
        if (rest.peek(1) == Der.BOOLEAN) {
            Slice flag;
            (flag, rest) = Der.read(rest, Der.BOOLEAN);
            Der.requireTrue(flag);
            critical = true;
        }
        value = Der.readOnly(rest, Der.OCTET_STRING);
    }

    function _requireNew(bytes32[] memory seen, uint256 count, Slice oid) private pure {
        bytes32 hash = oid.hash();
        for (uint256 i; i < count; ++i) if (seen[i] == hash) revert DuplicateExtension(oid.toBytes());
        seen[count] = hash;
    }

    /// BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER (0..MAX) OPTIONAL }, the latter for CAs only
    function _basicConstraints(Slice value) private pure returns (bool isCa, uint8 pathLength) {
        pathLength = type(uint8).max;
        Slice rest = Der.readOnly(value, Der.SEQUENCE);
        if (rest.isEmpty()) return (false, pathLength);
        Slice content;
        (content, rest) = Der.read(rest, Der.BOOLEAN);
        Der.requireTrue(content);
        isCa = true;
        if (!rest.isEmpty()) {
            Slice magnitude = Der.unsigned(Der.readOnly(rest, Der.INTEGER));
            if (magnitude.length() == 1) pathLength = uint8(magnitude.peek(1));
        }
    }

    /// A named bit list: its last bit is set, and those behind it are counted as unused. None of the nine is needed that a second byte would hold.
    function _keyUsage(Slice value) private pure returns (uint256 bits) {
        Slice content = Der.readOnly(value, Der.BIT_STRING);
        if (content.length() != 2) revert InvalidKeyUsage(content.toBytes());
        uint256 unused = content.peek(1);
        bits = content.peek(2) & 0xff;
        // the lowest bit that is set has to be the one above the unused ones
        if (bits == 0 || unused > 7 || bits & (~bits + 1) != 1 << unused) revert InvalidKeyUsage(content.toBytes());
    }
}
