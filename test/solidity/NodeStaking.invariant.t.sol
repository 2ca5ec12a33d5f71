// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeStaking} from "../../contracts/staking/INodeStaking.sol";
import {SolidityTest} from "./support/SolidityTest.sol";
import {StakingHandler} from "./support/StakingHandler.sol";

/// @notice What holds of bonds after any sequence of calls.
contract NodeStakingInvariantTest is SolidityTest {
    uint256 private constant ONE = 1e18;

    StakingHandler private handler;

    function setUp() public {
        handler = new StakingHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Keeps the fuzzer from ending every run at once; `afterInvariant` does.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].target = address(handler);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = StakingHandler.everyoneLeaves.selector;
    }

    struct FuzzSelector {
        address target;
        bytes4[] selectors;
    }

    function invariant_opgIsConservedToTheWei() external view {
        uint256 owed = handler.staking().credits(handler.BENEFICIARY());
        for (uint256 o; o < 2; ++o) {
            INodeStaking.Pool memory pool = handler.poolOf(handler.operators(o));
            owed += uint256(pool.own) + pool.delegated;
        }
        requireEqual("balance", handler.opg().balanceOf(address(handler.staking())), owed);
        requireEqual("supply", handler.opg().totalSupply() + handler.burned(), handler.opg().INITIAL_SUPPLY());
    }

    function invariant_positionsAndTicketsNeverExceedThePool() external view {
        for (uint256 o; o < 2; ++o) {
            address operator = handler.operators(o);
            INodeStaking.Pool memory pool = handler.poolOf(operator);
            uint256 units;
            for (uint256 d; d < 4; ++d) units += handler.unitsOf(operator, handler.delegators(d));
            (uint256 ownLeaving, uint256 unitsLeaving) = _leaving(operator, pool.generation);
            requireEqual("own stake leaving", pool.ownLeaving, ownLeaving);
            requireEqual("units leaving", pool.unitsLeaving, unitsLeaving);
            requireAtMost("worth of units", (units + unitsLeaving) * pool.factor, uint256(pool.delegated) * ONE);
        }
    }

    function invariant_nothingRevertsThatNeverMay() external view {
        requireTrue(string(handler.forbiddenRevert()), handler.forbiddenRevert().length == 0);
        for (uint256 o; o < 2; ++o) {
            address operator = handler.operators(o);
            INodeStaking.Pool memory pool = handler.poolOf(operator);
            uint256 active = handler.staking().activeStake(operator, handler.ROLE());
            requireAtMost("active stake", active, uint256(pool.own) + pool.delegated);
        }
    }

    /// @notice At the end of every run: what is not burned comes out, but for what rounding down left in the pools.
    function afterInvariant() external {
        handler.everyoneLeaves();
        for (uint256 o; o < 2; ++o) {
            address operator = handler.operators(o);
            INodeStaking.Pool memory pool = handler.poolOf(operator);
            requireEqual("own stake left", pool.own, 0);
            requireEqual("tickets left", uint256(pool.ownLeaving) + pool.unitsLeaving, 0);
            requireAtMost("dust", pool.delegated, handler.dustBound(operator));
        }
    }

    function _leaving(
        address operator,
        uint256 generation
    ) private view returns (uint256 ownLeaving, uint256 unitsLeaving) {
        for (uint256 i; i < handler.openCount(); ++i) {
            StakingHandler.Drawn memory drawn;
            (drawn.operator, drawn.delegator, drawn.number) = handler.open(i);
            if (drawn.operator != operator) continue;
            INodeStaking.Ticket memory ticket = handler.ticketOf(drawn);
            if (drawn.delegator == address(0)) ownLeaving += ticket.units;
            else if (ticket.generation == generation) unitsLeaving += ticket.units;
        }
    }
}
