// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IP384Verifier} from "./IP384Verifier.sol";
import {KEY_WIDTH, P384Curve} from "./p384/P384Curve.sol";
import {P384Field as F, P_HIGH, P_LOW} from "./p384/P384Field.sol";
import {GENERATOR_TABLE, GENERATOR_WIDTH} from "./p384/P384GeneratorTable.sol";
import {ACC_X, ACC_Z, claimWorkspace, DIGEST, KEY_X, KEY_Y, R, S, T0, T1, U1, U2} from "./p384/P384Memory.sol";
import {N_HIGH, N_LOW, P384Scalar} from "./p384/P384Scalar.sol";

/// @dev Straus' method: one run of doublings for both scalars, with signed digits of 8 bits for G (64 constants) and of 5 bits for the key
/// (8 points, made per call). MODEXP inverts and multiplies modulo n and inverts once modulo p; all else is plain EVM.
/// The numbers' places are in p384/P384Memory.sol, the argument why each step is exact in p384/P384Field.sol.
contract P384Verifier is IP384Verifier {
    /// @inheritdoc IP384Verifier
    function verify(
        bytes calldata digest,
        bytes calldata signature,
        bytes calldata publicKey
    ) external view returns (bool) {
        if (digest.length != 48 || signature.length != 96 || publicKey.length != 96) return false;
        claimWorkspace();
        read(DIGEST, digest, 0);
        read(R, signature, 0);
        read(S, signature, 48);
        read(KEY_X, publicKey, 0);
        read(KEY_Y, publicKey, 48);
        if (F.isZero(R) || !isBelow(R, N_HIGH, N_LOW) || F.isZero(S) || !isBelow(S, N_HIGH, N_LOW)) return false;
        if (!isBelow(KEY_X, P_HIGH, P_LOW) || !isBelow(KEY_Y, P_HIGH, P_LOW)) return false;
        if (!P384Curve.isOnCurve(KEY_X, KEY_Y)) return false;

        P384Scalar.inverseModN(S, S);
        P384Scalar.mulModN(U1, DIGEST, S);
        P384Scalar.mulModN(U2, R, S);
        P384Scalar.writeDigits(U1, GENERATOR_WIDTH, 128);
        P384Scalar.writeDigits(U2, KEY_WIDTH, 0);
        P384Curve.makeKeyTable();
        // u2 is not zero, since r is not: there are digits
        P384Curve.combine(generatorTable());
        if (F.isZero(ACC_Z)) return false;
        return isXOfSum();
    }

    /// @dev Whether x mod n = r for x = X / Z². As n < p < 2 n, x is r or, where that is below p, r + n.
    function isXOfSum() private pure returns (bool) {
        F.sqr(T0, ACC_Z);
        F.mul(T1, R, T0);
        if (F.equal(T1, ACC_X)) return true;
        (uint256 high, uint256 low) = F.load(R);
        // both are below 2^384: the sum's high word has 129 bits
        assembly ("memory-safe") {
            low := add(low, N_LOW)
            high := add(add(high, N_HIGH), lt(low, N_LOW))
        }
        F.store(R, high, low);
        if (!isBelow(R, P_HIGH, P_LOW)) return false;
        F.mul(T1, R, T0);
        return F.equal(T1, ACC_X);
    }

    function isBelow(uint256 a, uint256 limitHigh, uint256 limitLow) private pure returns (bool) {
        (uint256 high, uint256 low) = F.load(a);
        return high < limitHigh || (high == limitHigh && low < limitLow);
    }

    /// @dev The 48 bytes from `offset` on, which are within `data`. Memory-safe: writes to the claimed workspace.
    function read(uint256 out, bytes calldata data, uint256 offset) private pure {
        assembly ("memory-safe") {
            mstore(out, shr(128, calldataload(add(data.offset, offset))))
            mstore(add(out, 32), calldataload(add(data.offset, add(offset, 16))))
        }
    }

    /// @dev Copies the constant behind the workspace. Memory-safe: reads a pointer.
    function generatorTable() private pure returns (uint256 start) {
        bytes memory table = GENERATOR_TABLE;
        assembly ("memory-safe") {
            start := add(table, 32)
        }
    }
}
