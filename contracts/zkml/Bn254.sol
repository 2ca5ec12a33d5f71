// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The curve of the precompiles 6 to 8
library Bn254 {
    /// @notice Order of the groups: scalars are numbers below it.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// @notice Modulus of the field the coordinates are in.
    uint256 internal constant Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    error NotOnCurve(uint256 x, uint256 y);

    /// @notice Whether (x, y) is a point of G1 other than the identity. All points of y² = x³ + 3 are: its order is prime.
    function isPoint(uint256 x, uint256 y) internal pure returns (bool) {
        if (x >= Q || y >= Q) return false;
        return mulmod(y, y, Q) == addmod(mulmod(mulmod(x, x, Q), x, Q), 3, Q);
    }

    /// @notice (sx, sy) + scalar · (x, y).
    function addMul(
        uint256 sx,
        uint256 sy,
        uint256 x,
        uint256 y,
        uint256 scalar
    ) internal view returns (uint256 rx, uint256 ry) {
        bool ok;
        // 128 bytes past the free memory pointer, not kept: the product is put where the point was, the sum where the first term was
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, sx)
            mstore(add(free, 32), sy)
            mstore(add(free, 64), x)
            mstore(add(free, 96), y)
            ok := 1
            if xor(scalar, 1) {
                mstore(add(free, 128), scalar)
                ok := staticcall(gas(), 7, add(free, 64), 96, add(free, 64), 64)
            }
            ok := and(ok, staticcall(gas(), 6, free, 128, free, 64))
            rx := mload(free)
            ry := mload(add(free, 32))
        }
        require(ok, NotOnCurve(x, y));
    }
}
