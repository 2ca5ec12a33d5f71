// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeStaking, Role} from "../../contracts/staking/INodeStaking.sol";
import {NodeStaking} from "../../contracts/staking/NodeStaking.sol";
import {OPG} from "../../contracts/token/OPG.sol";
import {SolidityTest} from "./support/SolidityTest.sol";
import {bound, vm} from "./Vm.sol";

/// @notice The arithmetic of bonds for any amounts.
contract NodeStakingFuzzTest is SolidityTest {
    uint256 private constant ONE = 1e18;
    uint256 private constant MOST = 100_000_000e18;
    Role private constant ROLE = Role.Verifier;
    address private constant OPERATOR = address(0xA1);
    address private constant FIRST = address(0xD1);
    address private constant SECOND = address(0xD2);
    address private constant CHALLENGER = address(0xC1);

    OPG private opg;
    NodeStaking private staking;

    function setUp() public {
        opg = new OPG(address(this));
        staking = new NodeStaking(opg, address(this), 1 hours);
        staking.setSlasher(address(this), true);
        for (uint256 i; i < 3; ++i) {
            address who = [OPERATOR, FIRST, SECOND][i];
            opg.transfer(who, 300_000_000e18);
            vm.prank(who);
            opg.approve(address(staking), type(uint256).max);
        }
    }

    function testFuzz_slash_anyAmount_takesOwnStakeFirstAndNeverMoreThanThereIs(
        uint256 own,
        uint256 delegated,
        uint256 amount,
        uint256 rewardBps
    ) external {
        own = bound(own, 1, MOST);
        delegated = bound(delegated, ONE, MOST);
        if (amount % 2 == 0) amount = bound(amount, 0, own + delegated);
        _stake(own);
        _delegate(FIRST, delegated);
        uint256 supply = opg.totalSupply();
        uint256 taken = _slash(amount, rewardBps);

        (uint256 ownLeft, uint256 delegatedLeft, , uint256 generation, , ) = staking.pools(OPERATOR, ROLE);
        requireEqual("own", ownLeft, amount < own ? own - amount : 0);
        requireEqual("taken", taken, own + delegated - ownLeft - delegatedLeft);
        if (generation == 0) requireEqual("asked", taken, amount);
        else requireTrue("all delegations are lost", delegatedLeft == 0 && amount > own);
        uint256 reward = staking.credits(CHALLENGER);
        requireEqual("reward", reward, (taken * (rewardBps < 2_000 ? rewardBps : 2_000)) / 10_000);
        requireEqual("burned", supply - opg.totalSupply(), taken - reward);
    }

    function testFuzz_slash_delegations_loseInProportion(uint256 first, uint256 second, uint256 amount) external {
        first = bound(first, ONE, MOST);
        second = bound(second, ONE, MOST);
        amount = bound(amount, 1, ((first + second) * 999) / 1_000);
        _stake(1);
        _delegate(FIRST, first);
        _delegate(SECOND, second);
        _slash(amount + 1, 0);
        uint256 left = first + second - amount;
        uint256[2] memory shares = [(first * left) / (first + second), (second * left) / (first + second)];
        uint256[2] memory values = [_value(FIRST), _value(SECOND)];
        for (uint256 i; i < 2; ++i) {
            requireAtMost("value", values[i], shares[i]);
            // the factor has 18 digits: a delegation is off by less than 1e-18 of its units
            requireAtMost("loss by rounding", shares[i] - values[i], (i == 0 ? first : second) / ONE + 1);
        }
    }

    function testFuzz_delegateAndLeave_atAnyFactor_neverGains(uint256 before, uint256 cut, uint256 amount) external {
        before = bound(before, ONE, MOST);
        cut = bound(cut, 0, before - before / 1e8);
        amount = bound(amount, ONE, MOST);
        _stake(1);
        _delegate(FIRST, before);
        _slash(cut + 1, 0);
        uint256 others = _value(FIRST);
        uint256 units = _delegate(SECOND, amount);

        vm.startPrank(SECOND);
        uint256 ticket = staking.undelegate(OPERATOR, ROLE, units);
        vm.warp(vm.getBlockTimestamp() + 1 hours);
        uint256 paid = staking.withdraw(OPERATOR, ROLE, ticket);
        vm.stopPrank();
        requireAtMost("paid", paid, amount);
        requireAtMost("lost by rounding", amount - paid, 1);
        requireEqual("others", _value(FIRST), others);
    }

    function testFuzz_undelegate_inParts_isWorthNoMoreThanWhole(uint256 amount, uint256 cut, uint256 part) external {
        amount = bound(amount, ONE, MOST);
        cut = bound(cut, 0, amount / 2);
        _stake(1);
        uint256 units = _delegate(FIRST, amount);
        _slash(cut + 1, 0);
        uint256 whole = _value(FIRST);
        part = bound(part, 1, units - 1);

        vm.startPrank(FIRST);
        staking.undelegate(OPERATOR, ROLE, part);
        staking.undelegate(OPERATOR, ROLE, units - part);
        vm.warp(vm.getBlockTimestamp() + 1 hours);
        uint256 paid = staking.withdraw(OPERATOR, ROLE, 0) + staking.withdraw(OPERATOR, ROLE, 1);
        vm.stopPrank();
        requireAtMost("paid", paid, whole);
        requireAtMost("lost by rounding", whole - paid, 1);
    }

    function testFuzz_activeStake_isWhatIsNotLeaving(
        uint256 own,
        uint256 delegated,
        uint256 ownLeaving,
        uint256 unitsLeaving,
        uint256 cut
    ) external {
        own = bound(own, 1, MOST);
        delegated = bound(delegated, ONE, MOST);
        ownLeaving = bound(ownLeaving, 1, own);
        _stake(own);
        unitsLeaving = bound(unitsLeaving, 1, _delegate(FIRST, delegated));
        vm.prank(OPERATOR);
        staking.unstake(ROLE, ownLeaving);
        vm.prank(FIRST);
        staking.undelegate(OPERATOR, ROLE, unitsLeaving);
        cut = bound(cut, 0, own + delegated);
        _slash(cut, 0);

        uint256 active = staking.activeStake(OPERATOR, ROLE);
        (uint256 ownLeft, uint256 delegatedLeft, uint256 factor, uint256 generation, , ) = staking.pools(
            OPERATOR,
            ROLE
        );
        uint256 ownActive = ownLeft > ownLeaving ? ownLeft - ownLeaving : 0;
        if (generation == 1) return requireEqual("after the loss of all", active, ownActive);
        requireAtMost("active", active, ownActive + delegatedLeft - (unitsLeaving * factor) / ONE);
        // what leaves is rounded up, and never by more than a wei
        requireAtMost("rounding", ownActive + delegatedLeft - (unitsLeaving * factor) / ONE - active, 1);
    }

    function _stake(uint256 amount) private {
        vm.prank(OPERATOR);
        staking.stake(ROLE, amount);
    }

    function _delegate(address who, uint256 amount) private returns (uint256) {
        vm.prank(who);
        return staking.delegate(OPERATOR, ROLE, amount, 0);
    }

    function _slash(uint256 amount, uint256 rewardBps) private returns (uint256) {
        INodeStaking.SlashTarget[] memory targets = new INodeStaking.SlashTarget[](1);
        targets[0] = INodeStaking.SlashTarget(OPERATOR, ROLE, amount);
        return staking.slash(targets, CHALLENGER, rewardBps);
    }

    function _value(address who) private view returns (uint256) {
        return staking.delegationValue(OPERATOR, ROLE, who);
    }
}
