// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @notice What every Solidity test needs: the cheatcodes, and checks that say what differs.
abstract contract SolidityTest {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

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

    /// @notice `x` folded into [minimum, maximum], so that no fuzzed input is thrown away.
    function bound(uint256 x, uint256 minimum, uint256 maximum) internal pure returns (uint256) {
        if (x >= minimum && x <= maximum) return x;
        uint256 size = maximum - minimum + 1;
        return size == 0 ? x : minimum + (x % size);
    }
}
