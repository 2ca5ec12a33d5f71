// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {LocalChain} from "../attestation/LocalChain.sol";
import {CommitmentSum} from "../zkml/CommitmentSum.sol";
import {IShapeVerifier} from "../zkml/IShapeVerifier.sol";
import {IZkVersions, Shape} from "./IZkVersions.sol";

/// @title Network shapes that models can be registered for
/// @notice Numbers are never used again, and a shape is never changed: which one a version has was fixed when it was published.
abstract contract Shapes is IZkVersions, Ownable2Step {
    uint256 private constant INPUT_LANES = 16;
    uint256 private constant OUTPUT_LANES = 8;

    /// @inheritdoc IZkVersions
    uint256 public shapeCount;
    mapping(uint256 number => Shape) internal _shapes;
    mapping(bytes32 keyHash => bool) private _keyKnown;

    constructor(address owner_) Ownable(owner_) {}

    /// @inheritdoc IZkVersions
    function addShape(IShapeVerifier verifier) external onlyOwner returns (uint256 number) {
        require(!verifier.isDevelopment() || LocalChain.here(), DevelopmentKey(block.chainid));
        bytes32 keyHash = verifier.keyHash();
        require(!_keyKnown[keyHash], ShapeKnown(keyHash));
        uint256[] memory dims = verifier.dims();
        uint256 depth = dims.length;
        require(depth > 1, InvalidShape(verifier));
        (uint256 inputs, uint256 outputs) = (dims[0], dims[depth - 1]);
        (uint256 slots, uint256 inputWords, uint256 outputWords) = (
            verifier.slots(),
            verifier.inputWords(),
            verifier.outputWords()
        );
        require(
            slots == CommitmentSum.lengthOf(dims) &&
                slots <= type(uint32).max &&
                inputWords == (inputs + INPUT_LANES - 1) / INPUT_LANES &&
                outputWords == (outputs + OUTPUT_LANES - 1) / OUTPUT_LANES &&
                inputWords - 1 < type(uint8).max &&
                outputWords - 1 < type(uint8).max,
            InvalidShape(verifier)
        );
        _keyKnown[keyHash] = true;
        number = ++shapeCount;
        require(number <= type(uint16).max, InvalidShape(verifier));
        _shapes[number] = Shape(
            verifier,
            uint32(slots),
            uint16(inputs),
            uint16(outputs),
            uint8(inputWords),
            uint8(outputWords),
            false
        );
        emit ShapeAdded(number, verifier, keyHash);
    }

    /// @inheritdoc IZkVersions
    function retireShape(uint256 number) external onlyOwner {
        _usableShape(number);
        _shapes[number].retired = true;
        emit ShapeRetired(number);
    }

    /// @inheritdoc IZkVersions
    function shape(uint256 number) external view returns (Shape memory) {
        return _shapes[number];
    }

    function _usableShape(uint256 number) internal view returns (Shape memory s) {
        s = _shapes[number];
        require(address(s.verifier) != address(0) && !s.retired, ShapeNotUsable(number));
    }
}
