// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cbor} from "./Cbor.sol";
import {Slice} from "./Slice.sol";

/// @dev What an attestation document claims. Slices point into the document.
struct NitroDocument {
    /// keccak256(PCR0 ‖ PCR1 ‖ PCR2)
    bytes32 pcrHash;
    /// unix milliseconds
    uint64 timestampMs;
    /// PCR0, PCR1 and PCR2 are all zero: the enclave's console is open to its host
    bool debugMode;
    /// DER of the leaf, and of the CAs above it, root first
    Slice certificate;
    Slice[] cabundle;
    /// empty when absent or null
    Slice publicKey;
    Slice userData;
    Slice nonce;
}

/// @title Payload of an AWS Nitro attestation document
/// @notice A CBOR map of definite length, or indefinite as current hardware writes it; everything in it is definite. Keys are text, in any order,
/// none twice. Unknown ones are skipped, because AWS may add fields, and so are their values: any well-formed ones, four levels deep
/// at most; keys that repeat within such a value are not looked for.
/// @dev Format: AWS, "Verifying the root of trust" (docs.aws.amazon.com/enclaves/latest/user/verify-root.html).
library NitroDocuments {
    uint256 private constant INDEFINITE_MAP = 0xbf;
    uint256 private constant BREAK = 0xff;
    uint256 private constant MAX_ENTRIES = 32;
    uint256 private constant MAX_KEY_LENGTH = 64;
    uint256 private constant MAX_UNKNOWN_DEPTH = 4;

    uint256 private constant MAX_MODULE_ID_LENGTH = 128;
    uint256 private constant MAX_PUBLIC_KEY_LENGTH = 1_024;
    uint256 private constant MAX_USER_DATA_LENGTH = 512;
    uint256 private constant MAX_NONCE_LENGTH = 512;
    uint256 private constant MAX_CERTIFICATE_LENGTH = 1_024;
    uint256 private constant MAX_CA_CERTIFICATES = 8;
    uint256 private constant MAX_PCRS = 32;
    uint256 private constant PCR_LENGTH = 48;
    uint256 private constant SHA384_NAME = 0x534841333834; // "SHA384"
    uint256 private constant SHA384_NAME_LENGTH = 6;

    uint256 private constant MODULE_ID = 1;
    uint256 private constant DIGEST = 2;
    uint256 private constant TIMESTAMP = 4;
    uint256 private constant PCRS = 8;
    uint256 private constant CERTIFICATE = 16;
    uint256 private constant CABUNDLE = 32;

    error TooManyEntries(uint256 limit);
    error DuplicateKey(bytes key);
    error MissingField(string field);
    error EmptyModuleId();
    /// "SHA384" is expected.
    error UnsupportedDigest(bytes found);
    error InvalidPcrCount(uint256 count, uint256 limit);
    error InvalidPcrIndex(uint256 index, uint256 limit);
    error DuplicatePcr(uint256 index);
    error InvalidPcrLength(uint256 index, uint256 length, uint256 expected);
    error MissingPcr(uint256 index);
    error InvalidCabundleSize(uint256 count, uint256 limit);

    function parse(Slice payload) internal pure returns (NitroDocument memory document) {
        bool indefinite = payload.peek(1) == INDEFINITE_MAP;
        uint256 entries;
        Slice rest;
        if (indefinite) rest = payload.skip(1);
        else (entries, rest) = Cbor.head(payload, Cbor.MAP);

        bytes32[] memory keys = new bytes32[](MAX_ENTRIES);
        uint256 present;
        for (uint256 i; indefinite ? rest.peek(1) != BREAK : i < entries; ++i) {
            require(i < MAX_ENTRIES, TooManyEntries(MAX_ENTRIES));
            Slice key;
            (key, rest) = Cbor.readString(rest, Cbor.TEXT, MAX_KEY_LENGTH);
            keys[i] = key.hash();
            for (uint256 j; j < i; ++j) if (keys[j] == keys[i]) revert DuplicateKey(key.toBytes());
            uint256 field;
            (field, rest) = _readField(document, keys[i], rest);
            present |= field;
        }
        if (indefinite) rest = rest.skip(1);
        rest.requireEmpty();
        _requirePresent(present, MODULE_ID, "module_id");
        _requirePresent(present, DIGEST, "digest");
        _requirePresent(present, TIMESTAMP, "timestamp");
        _requirePresent(present, PCRS, "pcrs");
        _requirePresent(present, CERTIFICATE, "certificate");
        _requirePresent(present, CABUNDLE, "cabundle");
    }

    function _requirePresent(uint256 present, uint256 field, string memory name) private pure {
        require(present & field != 0, MissingField(name));
    }

    /// @return field the bit of a field that has to be there, zero for others.
    function _readField(
        NitroDocument memory document,
        bytes32 key,
        Slice input
    ) private pure returns (uint256 field, Slice rest) {
        if (key == keccak256("module_id")) {
            return (MODULE_ID, _readModuleId(input));
        } else if (key == keccak256("digest")) {
            return (DIGEST, _readDigest(input));
        } else if (key == keccak256("timestamp")) {
            uint256 timestampMs;
            (timestampMs, rest) = Cbor.head(input, Cbor.UNSIGNED);
            document.timestampMs = uint64(timestampMs); // a CBOR head holds 64 bits
            return (TIMESTAMP, rest);
        } else if (key == keccak256("pcrs")) {
            return (PCRS, _readPcrs(document, input));
        } else if (key == keccak256("certificate")) {
            (document.certificate, rest) = Cbor.readString(input, Cbor.BYTES, MAX_CERTIFICATE_LENGTH);
            return (CERTIFICATE, rest);
        } else if (key == keccak256("cabundle")) {
            return (CABUNDLE, _readCabundle(document, input));
        } else if (key == keccak256("public_key")) {
            (document.publicKey, rest) = Cbor.readOptionalBytes(input, MAX_PUBLIC_KEY_LENGTH);
        } else if (key == keccak256("user_data")) {
            (document.userData, rest) = Cbor.readOptionalBytes(input, MAX_USER_DATA_LENGTH);
        } else if (key == keccak256("nonce")) {
            (document.nonce, rest) = Cbor.readOptionalBytes(input, MAX_NONCE_LENGTH);
        } else {
            rest = Cbor.skipValue(input, MAX_UNKNOWN_DEPTH);
        }
    }

    function _readModuleId(Slice input) private pure returns (Slice rest) {
        Slice content;
        (content, rest) = Cbor.readString(input, Cbor.TEXT, MAX_MODULE_ID_LENGTH);
        require(!content.isEmpty(), EmptyModuleId());
    }

    function _readDigest(Slice input) private pure returns (Slice rest) {
        Slice content;
        (content, rest) = Cbor.readString(input, Cbor.TEXT, SHA384_NAME_LENGTH);
        if (content.length() != SHA384_NAME_LENGTH || content.peek(SHA384_NAME_LENGTH) != SHA384_NAME) {
            revert UnsupportedDigest(content.toBytes());
        }
    }

    function _readCabundle(NitroDocument memory document, Slice input) private pure returns (Slice rest) {
        uint256 count;
        (count, rest) = Cbor.head(input, Cbor.ARRAY);
        require(count != 0 && count <= MAX_CA_CERTIFICATES, InvalidCabundleSize(count, MAX_CA_CERTIFICATES));
        document.cabundle = new Slice[](count);
        for (uint256 i; i < count; ++i) {
            (document.cabundle[i], rest) = Cbor.readString(rest, Cbor.BYTES, MAX_CERTIFICATE_LENGTH);
        }
    }

    function _readPcrs(NitroDocument memory document, Slice input) private pure returns (Slice rest) {
        uint256 count;
        (count, rest) = Cbor.head(input, Cbor.MAP);
        require(count != 0 && count <= MAX_PCRS, InvalidPcrCount(count, MAX_PCRS));
        Slice[] memory measured = new Slice[](3);
        uint256 seen;
        for (uint256 i; i < count; ++i) {
            uint256 index;
            (index, rest) = Cbor.head(rest, Cbor.UNSIGNED);
            require(index < MAX_PCRS, InvalidPcrIndex(index, MAX_PCRS));
            require((seen >> index) & 1 == 0, DuplicatePcr(index));
            seen |= 1 << index;
            Slice value;
            (value, rest) = Cbor.readString(rest, Cbor.BYTES);
            require(value.length() == PCR_LENGTH, InvalidPcrLength(index, value.length(), PCR_LENGTH));
            if (index < measured.length) measured[index] = value;
        }
        uint256 bits;
        for (uint256 i; i < measured.length; ++i) {
            require((seen >> i) & 1 != 0, MissingPcr(i));
            bits |= measured[i].peek(32) | measured[i].skip(16).peek(32);
        }
        document.debugMode = bits == 0;
        document.pcrHash = keccak256(bytes.concat(measured[0].toBytes(), measured[1].toBytes(), measured[2].toBytes()));
    }
}
