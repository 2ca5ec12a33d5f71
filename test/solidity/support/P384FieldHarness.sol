// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P384Field} from "../../../contracts/attestation/p384/P384Field.sol";
import {claimWorkspace, T0, T1, T2, T3, T4} from "../../../contracts/attestation/p384/P384Memory.sol";

/// @dev Field operations on batches, in fresh memory and in place.
contract P384FieldHarness {
    enum Operation {
        Mul,
        Sqr,
        MulSub,
        MulSubTwice,
        SqrSubTwice,
        SqrSubSum,
        Sub,
        Twice,
        TripleSum,
        TwiceDifference
    }

    error InPlaceDiffers(uint256 index, uint256 out);

    /// @param numbers four per case, two words each.
    /// @return results one per case, two words each.
    function run(Operation operation, uint256[] calldata numbers) external pure returns (uint256[] memory results) {
        claimWorkspace();
        results = new uint256[](numbers.length / 4);
        for (uint256 i = 0; i < numbers.length / 8; ++i) {
            (uint256 high, uint256 low) = compute(operation, T4, numbers[8 * i:8 * i + 8]);
            results[2 * i] = high;
            results[2 * i + 1] = low;
            for (uint256 out = T0; out <= T3; out += 64) {
                (uint256 sameHigh, uint256 sameLow) = compute(operation, out, numbers[8 * i:8 * i + 8]);
                require(high == sameHigh && low == sameLow, InPlaceDiffers(i, out));
            }
        }
    }

    function compute(
        Operation operation,
        uint256 out,
        uint256[] calldata numbers
    ) private pure returns (uint256, uint256) {
        for (uint256 k = 0; k < 4; ++k) P384Field.store(T0 + 64 * k, numbers[2 * k], numbers[2 * k + 1]);
        if (operation == Operation.Mul) P384Field.mul(out, T0, T1);
        else if (operation == Operation.Sqr) P384Field.sqr(out, T0);
        else if (operation == Operation.MulSub) P384Field.mulSub(out, T0, T1, T2);
        else if (operation == Operation.MulSubTwice) P384Field.mulSubTwice(out, T0, T1, T2);
        else if (operation == Operation.SqrSubTwice) P384Field.sqrSubTwice(out, T0, T2);
        else if (operation == Operation.SqrSubSum) P384Field.sqrSubSum(out, T0, T2, T3);
        else if (operation == Operation.Sub) P384Field.sub(out, T0, T1);
        else if (operation == Operation.Twice) P384Field.twice(out, T0);
        else if (operation == Operation.TripleSum) P384Field.tripleSum(out, T0, T1);
        else P384Field.twiceDifference(out, T0, T1);
        return P384Field.load(out);
    }
}
