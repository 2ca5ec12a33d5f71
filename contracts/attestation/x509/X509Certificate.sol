// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slice} from "../Slice.sol";
import {Der} from "../der/Der.sol";
import {DerTime} from "../der/DerTime.sol";
import {X509Extensions} from "./X509Extensions.sol";

/// @dev A certificate's fields. Slices point into the DER it was read from.
struct X509Certificate {
    /// TBSCertificate, whole: the bytes that are signed
    Slice tbs;
    /// content of the INTEGER
    Slice serial;
    /// whole Names
    Slice issuer;
    Slice subject;
    /// x ‖ y, 48 bytes each
    Slice publicKey;
    /// r ‖ s, 48 bytes each
    bytes signature;
    /// unix seconds, inclusive
    uint64 notBefore;
    uint64 notAfter;
    bool isCa;
    /// 255: no constraint
    uint8 pathLength;
}

/// @title X.509 v3 certificates of P-384 keys, signed with ecdsa-with-SHA384 (RFC 5280, RFC 5758)
/// @notice Parses; who signed and whether it is valid now is the caller's to check.
library X509 {
    /// OBJECT IDENTIFIER ecdsa-with-SHA384, no parameters
    uint256 private constant ES384 = 0x06082a8648ce3d040303;
    uint256 private constant ES384_LENGTH = 10;
    /// AlgorithmIdentifier { id-ecPublicKey, secp384r1 }, BIT STRING of 98 bytes without unused bits, uncompressed point
    uint256 private constant P384_KEY_PREFIX = 0x301006072a8648ce3d020106052b8104002203620004;
    uint256 private constant P384_KEY_PREFIX_LENGTH = 22;
    uint256 private constant KEY_LENGTH = 96;
    uint256 private constant SCALAR_LENGTH = 48;
    /// INTEGER 2
    uint256 private constant VERSION_3 = 0x020102;
    uint256 private constant MAX_SERIAL_LENGTH = 20;

    error UnsupportedCertificateVersion(bytes found);
    error SerialTooLong(uint256 length, uint256 limit);
    /// ecdsa-with-SHA384 is expected, in the certificate and around it.
    error UnsupportedSignatureAlgorithm(bytes found);
    /// An uncompressed point on secp384r1 is expected.
    error UnsupportedPublicKey(bytes found);
    /// The BIT STRING of a signature has no unused bits.
    error InvalidBitString(uint256 unusedBits);
    error SignatureIntegerTooLong(uint256 length, uint256 limit);

    /// @notice The part of a certificate that is signed, by whose hash certificates are known here.
    function tbsOf(Slice der) internal pure returns (Slice tbs) {
        Slice body = Der.readOnly(der, Der.SEQUENCE);
        (, Slice rest) = Der.read(body, Der.SEQUENCE);
        return body.upTo(rest);
    }

    /// @notice Subject and key of a certificate that has been parsed before.
    function subjectAndKey(Slice der) internal pure returns (Slice subject, Slice publicKey) {
        (Slice rest, ) = Der.read(tbsOf(der), Der.SEQUENCE);
        // version, serial number, signature, issuer, validity
        for (uint256 i; i < 5; ++i) (, , rest) = Der.read(rest);
        Slice afterSubject;
        (, afterSubject) = Der.read(rest, Der.SEQUENCE);
        subject = rest.upTo(afterSubject);
        (publicKey, ) = _publicKey(afterSubject);
    }

    function parse(Slice der) internal pure returns (X509Certificate memory certificate) {
        Slice body = Der.readOnly(der, Der.SEQUENCE);
        (Slice fields, Slice rest) = Der.read(body, Der.SEQUENCE);
        certificate.tbs = body.upTo(rest);
        rest = _algorithm(rest);
        certificate.signature = _signature(Der.readOnly(rest, Der.BIT_STRING));

        Slice content;
        (content, rest) = Der.read(fields, Der.CONTEXT_0);
        if (content.length() != 3 || content.peek(3) != VERSION_3) {
            revert UnsupportedCertificateVersion(content.toBytes());
        }
        (certificate.serial, rest) = Der.read(rest, Der.INTEGER);
        uint256 serialLength = Der.unsigned(certificate.serial).length();
        require(serialLength <= MAX_SERIAL_LENGTH, SerialTooLong(serialLength, MAX_SERIAL_LENGTH));
        rest = _algorithm(rest);
        (certificate.issuer, rest) = _name(rest);
        (content, rest) = Der.read(rest, Der.SEQUENCE);
        (certificate.notBefore, content) = DerTime.read(content);
        (certificate.notAfter, content) = DerTime.read(content);
        content.requireEmpty();
        (certificate.subject, rest) = _name(rest);
        (certificate.publicKey, rest) = _publicKey(rest);
        content = Der.readOnly(rest, Der.CONTEXT_3);
        (certificate.isCa, certificate.pathLength) = X509Extensions.parse(Der.readOnly(content, Der.SEQUENCE));
    }

    function _name(Slice input) private pure returns (Slice name, Slice rest) {
        (, rest) = Der.read(input, Der.SEQUENCE);
        name = input.upTo(rest);
    }

    function _algorithm(Slice input) private pure returns (Slice rest) {
        Slice content;
        (content, rest) = Der.read(input, Der.SEQUENCE);
        if (content.length() != ES384_LENGTH || content.peek(ES384_LENGTH) != ES384) {
            revert UnsupportedSignatureAlgorithm(content.toBytes());
        }
    }

    function _publicKey(Slice input) private pure returns (Slice key, Slice rest) {
        Slice content;
        (content, rest) = Der.read(input, Der.SEQUENCE);
        if (
            content.length() != P384_KEY_PREFIX_LENGTH + KEY_LENGTH ||
            content.peek(P384_KEY_PREFIX_LENGTH) != P384_KEY_PREFIX
        ) revert UnsupportedPublicKey(content.toBytes());
        key = content.skip(P384_KEY_PREFIX_LENGTH);
    }

    /// Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }
    function _signature(Slice bits) private pure returns (bytes memory) {
        require(bits.peek(1) == 0, InvalidBitString(bits.peek(1)));
        Slice content = Der.readOnly(bits.skip(1), Der.SEQUENCE);
        (Slice r, Slice rest) = Der.read(content, Der.INTEGER);
        Slice s = Der.readOnly(rest, Der.INTEGER);
        return bytes.concat(_scalar(r), _scalar(s));
    }

    /// @return padded 48 bytes, big-endian.
    function _scalar(Slice integer) private pure returns (bytes memory padded) {
        Slice magnitude = Der.unsigned(integer);
        uint256 length = magnitude.length();
        require(length <= SCALAR_LENGTH, SignatureIntegerTooLong(length, SCALAR_LENGTH));
        return bytes.concat(new bytes(SCALAR_LENGTH - length), magnitude.toBytes());
    }
}
