// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One inference, as its node signs it.
struct Receipt {
    /// nullifier: settles once, ever
    bytes32 requestId;
    /// version in the ModelRegistry
    bytes32 modelId;
    /// 0 VANILLA, 1 ZKML, 2 TEE
    uint8 mode;
    bytes32 inputHash;
    bytes32 outputHash;
    address payer;
    /// wei of OPG
    uint96 fee;
    /// unix seconds
    uint64 servedAt;
}

/// @notice ECDSA signature in EIP-2098's form: the highest bit of `vs` is the parity of y.
struct CompactSignature {
    bytes32 r;
    bytes32 vs;
}

/// @title Hashing receipts and recovering their signers
library ReceiptLib {
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "InferenceReceipt(bytes32 requestId,bytes32 modelId,uint8 mode,bytes32 inputHash,bytes32 outputHash,address payer,uint96 fee,uint64 servedAt)"
    );
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice EIP-712 `hashStruct`.
    function hash(Receipt memory r) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    RECEIPT_TYPEHASH,
                    r.requestId,
                    r.modelId,
                    r.mode,
                    r.inputHash,
                    r.outputHash,
                    r.payer,
                    r.fee,
                    r.servedAt
                )
            );
    }

    /// @notice The same of a receipt in calldata, whose words are those of the struct: fields wider than their types hash as they are,
    /// which is not what anybody signs.
    function hashCalldata(Receipt calldata r) internal pure returns (bytes32 structHash) {
        bytes32 typeHash = RECEIPT_TYPEHASH;
        assembly ("memory-safe") {
            // 288 bytes of scratch beyond the free memory pointer, which stays where it is
            let words := mload(0x40)
            mstore(words, typeHash)
            calldatacopy(add(words, 0x20), r, 0x100)
            structHash := keccak256(words, 0x120)
        }
    }

    /// @notice What a key signs: the struct's hash under a domain separator.
    function digest(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @notice The signer, or zero when the signature is not a canonical one (low s) of anybody.
    function recover(bytes32 digest_, CompactSignature memory sig) internal pure returns (address) {
        uint256 vs = uint256(sig.vs);
        uint256 s = vs & (type(uint256).max >> 1);
        if (s > HALF_ORDER) return address(0);
        return ecrecover(digest_, uint8(27 + (vs >> 255)), sig.r, bytes32(s));
    }
}
