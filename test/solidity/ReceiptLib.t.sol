// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {CompactSignature, Receipt, ReceiptLib} from "../../contracts/receipts/ReceiptLib.sol";
import {bound, vm} from "./Vm.sol";

contract ReceiptLibTest {
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function test_hash_fixedReceipt_isEthersHash() external pure {
        Receipt memory r = Receipt({
            requestId: bytes32(uint256(0x01) * (type(uint256).max / 255)),
            modelId: bytes32(uint256(0x02) * (type(uint256).max / 255)),
            mode: 2,
            inputHash: bytes32(uint256(0x03) * (type(uint256).max / 255)),
            outputHash: bytes32(uint256(0x04) * (type(uint256).max / 255)),
            payer: address(uint160(0x05) * (type(uint160).max / 255)),
            fee: 123456789012345678901234567,
            servedAt: 1_800_000_000
        });
        bytes32 structHash = ReceiptLib.hash(r);
        require(structHash == 0x883de5301173df07956604fde8f53f38d1cef2c7af6c9bd3bb7ea5ffc43e034d, "struct hash");
        require(
            ReceiptLib.digest(0xc1660ae441d8b5810bf4994e5bbe88c66c54a198b68c63d59a801cd6bc8cc90a, structHash) ==
                0x0bed9921fb025a358c30d911691a49dc637e2723e975dafea79a7a959d073130,
            "digest"
        );
    }

    function testFuzz_hash_isThatOfItsFields(Receipt memory r) external pure {
        bytes memory fields = abi.encode(r);
        require(ReceiptLib.hash(r) == keccak256(bytes.concat(ReceiptLib.RECEIPT_TYPEHASH, fields)), "another hash");
    }

    function testFuzz_digest_isOpenZeppelins(bytes32 domain, bytes32 structHash) external pure {
        require(
            ReceiptLib.digest(domain, structHash) == MessageHashUtils.toTypedDataHash(domain, structHash),
            "another digest"
        );
    }

    function testFuzz_recover_ofASignature_isItsSigner(uint256 key, bytes32 digest) external pure {
        key = bound(key, 1, ORDER - 1);
        require(ReceiptLib.recover(digest, _sign(key, digest)) == vm.addr(key), "another signer");
    }

    function testFuzz_recover_anyBytes_isOpenZeppelins(bytes32 digest, CompactSignature memory sig) external pure {
        (address expected, ECDSA.RecoverError err, ) = ECDSA.tryRecover(digest, sig.r, sig.vs);
        if (err != ECDSA.RecoverError.NoError) expected = address(0);
        require(ReceiptLib.recover(digest, sig) == expected, "another signer");
    }

    function testFuzz_recover_sAboveHalfTheOrder_isNobody(
        bytes32 digest,
        bytes32 r,
        uint256 s,
        bool odd
    ) external pure {
        // what 255 bits can hold of it
        s = bound(s, ORDER / 2 + 1, type(uint256).max >> 1);
        bytes32 vs = bytes32(s | (odd ? 1 << 255 : 0));
        require(ReceiptLib.recover(digest, CompactSignature(r, vs)) == address(0), "a high s");
    }

    function testFuzz_recover_otherParity_isSomebodyElse(uint256 key, bytes32 digest) external pure {
        key = bound(key, 1, ORDER - 1);
        CompactSignature memory sig = _sign(key, digest);
        sig.vs ^= bytes32(uint256(1) << 255);
        require(ReceiptLib.recover(digest, sig) != vm.addr(key), "two signatures of one receipt");
    }

    function testFuzz_recover_malleableTwin_isNobodyOrSomebodyElse(uint256 key, bytes32 digest) external pure {
        key = bound(key, 1, ORDER - 1);
        CompactSignature memory sig = _sign(key, digest);
        uint256 s = uint256(sig.vs) & (type(uint256).max >> 1);
        uint256 parity = (uint256(sig.vs) >> 255) ^ 1;
        CompactSignature memory twin = CompactSignature(
            sig.r,
            bytes32(((ORDER - s) & (type(uint256).max >> 1)) | (parity << 255))
        );
        require(ReceiptLib.recover(digest, twin) != vm.addr(key), "a malleable signature");
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (CompactSignature memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return CompactSignature(r, s | bytes32(uint256(v - 27) << 255));
    }
}
