// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RsaPss} from "../../../contracts/attestation/RsaPss.sol";
import {RsaPublicKey} from "../../../contracts/attestation/RsaPublicKey.sol";

/// @notice The libraries' functions as calls, and what a check costs within one.
contract RsaPssHarness {
    function verify(bytes32 digest, bytes calldata signature, bytes calldata modulus) external view returns (bool) {
        return RsaPss.verify(digest, signature, modulus);
    }

    function modulusOf(bytes calldata spki) external pure returns (bytes memory) {
        return RsaPublicKey.modulusOf(spki);
    }

    /// Whether a check leaves memory as it found it: what lies before, the zero slot and the free pointer.
    function leavesMemoryAlone(
        bytes32 digest,
        bytes memory signature,
        bytes memory modulus
    ) external view returns (bool) {
        bytes32 before = keccak256(abi.encodePacked(signature, modulus));
        (uint256 pointer, ) = _freePointerAndZeroSlot();
        RsaPss.verify(digest, signature, modulus);
        (uint256 pointerAfter, uint256 zero) = _freePointerAndZeroSlot();
        return pointer == pointerAfter && zero == 0 && before == keccak256(abi.encodePacked(signature, modulus));
    }

    function gasOfVerify(
        bytes32 digest,
        bytes calldata signature,
        bytes calldata modulus
    ) external view returns (uint256 used, bool valid) {
        used = gasleft();
        valid = RsaPss.verify(digest, signature, modulus);
        used -= gasleft();
    }

    function _freePointerAndZeroSlot() private pure returns (uint256 pointer, uint256 zero) {
        // memory-safe: reads two reserved words
        assembly ("memory-safe") {
            pointer := mload(0x40)
            zero := mload(0x60)
        }
    }
}
