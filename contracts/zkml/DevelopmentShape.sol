// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LocalChain} from "../attestation/LocalChain.sol";
import {Groth16ShapeVerifier} from "./Groth16ShapeVerifier.sol";
import {IShapeVerifier} from "./IShapeVerifier.sol";

/// @title Verifier whose key comes from a public seed
/// @notice Anybody can work out how to prove anything to it, so it exists on developers' own chains only.
abstract contract DevelopmentShape is Groth16ShapeVerifier {
    error NotLocalChain(uint256 chainId);

    constructor() {
        require(LocalChain.here(), NotLocalChain(block.chainid));
    }

    /// @inheritdoc IShapeVerifier
    function isDevelopment() external pure returns (bool) {
        return true;
    }
}
