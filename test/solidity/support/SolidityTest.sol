// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Checks that say what differs.
abstract contract SolidityTest {
    error NotEqual(string what, uint256 actual, uint256 expected);
    error Exceeds(string what, uint256 actual, uint256 maximum);
    error Untrue(string what);

    function requireEqual(string memory what, uint256 actual, uint256 expected) internal pure {
        require(actual == expected, NotEqual(what, actual, expected));
    }

    function requireAtMost(string memory what, uint256 actual, uint256 maximum) internal pure {
        require(actual <= maximum, Exceeds(what, actual, maximum));
    }

    function requireTrue(string memory what, bool condition) internal pure {
        require(condition, Untrue(what));
    }
}
