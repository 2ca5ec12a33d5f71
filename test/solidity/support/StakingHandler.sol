// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeStaking, Role} from "../../../contracts/staking/INodeStaking.sol";
import {NodeStaking} from "../../../contracts/staking/NodeStaking.sol";
import {OPG} from "../../../contracts/token/OPG.sol";
import {bound, vm} from "../Vm.sol";

/// @notice Does what operators, delegators and slashers do, in any order and with any amounts, and keeps book beside the
/// contract: which tickets are open, what was burned, and which call reverted that never may.
contract StakingHandler {
    struct Drawn {
        address operator;
        /// zero for a ticket of own stake
        address delegator;
        uint256 number;
    }

    Role public constant ROLE = Role.Inference;
    uint256 public constant UNBONDING = 7 days;
    uint256 private constant MAX_AMOUNT = 10_000_000e18;

    OPG public immutable opg;
    NodeStaking public immutable staking;
    address public constant BENEFICIARY = address(0xBE);

    address[2] public operators = [address(0xA1), address(0xA2)];
    /// the first operator also delegates to itself
    address[4] public delegators = [address(0xD1), address(0xD2), address(0xD3), address(0xA1)];
    Drawn[] public open;
    uint256 public burned;
    bytes public forbiddenRevert;
    /// most that rounding down can have left in a pool, wei of OPG
    mapping(address operator => uint256) public dustBound;

    constructor() {
        opg = new OPG(address(this));
        staking = new NodeStaking(opg, address(this), UNBONDING);
        staking.setSlasher(address(this), true);
        for (uint256 i; i < operators.length; ++i) _fund(operators[i]);
        for (uint256 i; i < delegators.length; ++i) _fund(delegators[i]);
        // so that no run begins with pools nobody can delegate to
        for (uint256 i; i < operators.length; ++i) {
            vm.prank(operators[i]);
            staking.stake(ROLE, 1_000e18);
        }
    }

    function stake(uint256 who, uint256 amount) external {
        vm.prank(operators[who % operators.length]);
        staking.stake(ROLE, _amount(amount, 1));
    }

    function unstake(uint256 who, uint256 amount) external {
        address operator = operators[who % operators.length];
        INodeStaking.Pool memory pool = poolOf(operator);
        if (pool.own <= pool.ownLeaving) return;
        vm.prank(operator);
        uint256 number = staking.unstake(ROLE, bound(amount, 1, pool.own - pool.ownLeaving));
        open.push(Drawn(operator, address(0), number));
    }

    function delegate(uint256 who, uint256 to, uint256 amount) external {
        address operator = operators[to % operators.length];
        vm.prank(delegators[who % delegators.length]);
        staking.delegate(operator, ROLE, _amount(amount, 1e18), 0);
        ++dustBound[operator];
    }

    function undelegate(uint256 who, uint256 from, uint256 units) external {
        address delegator = delegators[who % delegators.length];
        address operator = operators[from % operators.length];
        uint256 held = unitsOf(operator, delegator);
        if (held == 0) return;
        vm.prank(delegator);
        // a third of the time everything, so that pools run empty
        uint256 number = staking.undelegate(operator, ROLE, units % 3 == 0 ? held : bound(units, 1, held));
        open.push(Drawn(operator, delegator, number));
    }

    /// @notice A mature ticket is always paid, whatever happened in between.
    function withdraw(uint256 which) external {
        uint256 index;
        Drawn memory drawn;
        uint256 left = open.length;
        do {
            if (left-- == 0) return;
            index = ((which % open.length) + left) % open.length;
            drawn = open[index];
        } while (vm.getBlockTimestamp() < ticketOf(drawn).releaseAt);
        open[index] = open[open.length - 1];
        open.pop();
        vm.prank(drawn.delegator == address(0) ? drawn.operator : drawn.delegator);
        (bool ok, bytes memory reason) = address(staking).call(
            drawn.delegator == address(0)
                ? abi.encodeCall(staking.withdrawOwn, (ROLE, drawn.number))
                : abi.encodeCall(staking.withdraw, (drawn.operator, ROLE, drawn.number))
        );
        if (!ok) forbiddenRevert = reason;
        ++dustBound[drawn.operator];
    }

    /// @notice Slashes never revert. Sometimes one takes all, or leaves almost nothing.
    function slash(uint256 who, uint256 amount, uint256 rewardBps) external {
        address operator = operators[who % operators.length];
        INodeStaking.Pool memory pool = poolOf(operator);
        uint256 all = uint256(pool.own) + pool.delegated;
        uint256 kind = amount % 16;
        if (kind == 0) amount = type(uint256).max;
        else if (kind == 1) amount = all - all / 1e8;
        else if (kind == 2) amount = bound(amount, 0, 100);
        else amount = bound(amount, 0, all);
        INodeStaking.SlashTarget[] memory targets = new INodeStaking.SlashTarget[](1);
        targets[0] = INodeStaking.SlashTarget(operator, ROLE, amount);
        uint256 supply = opg.totalSupply();
        // a factor rounded down loses less than 1e-18 of every unit, and there are at most `delegated * 1e18 / factor` units
        dustBound[operator] += pool.delegated / pool.factor + 1;
        try staking.slash(targets, BENEFICIARY, rewardBps) returns (uint256) {
            burned += supply - opg.totalSupply();
        } catch (bytes memory reason) {
            forbiddenRevert = reason;
        }
    }

    function claim(uint256 seed) external {
        if (seed % 4 != 0) return;
        vm.prank(BENEFICIARY);
        staking.claim(BENEFICIARY);
    }

    function wait(uint256 time) external {
        vm.warp(vm.getBlockTimestamp() + bound(time, 1 days, 7 days));
    }

    /// @notice Everyone draws what is left, and withdraws all there is to withdraw.
    function everyoneLeaves() external {
        for (uint256 o; o < operators.length; ++o) {
            INodeStaking.Pool memory pool = poolOf(operators[o]);
            if (pool.own > pool.ownLeaving) {
                vm.prank(operators[o]);
                open.push(Drawn(operators[o], address(0), staking.unstake(ROLE, pool.own - pool.ownLeaving)));
            }
            for (uint256 d; d < delegators.length; ++d) {
                uint256 units = unitsOf(operators[o], delegators[d]);
                if (units == 0) continue;
                vm.prank(delegators[d]);
                open.push(Drawn(operators[o], delegators[d], staking.undelegate(operators[o], ROLE, units)));
            }
        }
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        while (open.length != 0) {
            Drawn memory drawn = open[open.length - 1];
            open.pop();
            vm.prank(drawn.delegator == address(0) ? drawn.operator : drawn.delegator);
            if (drawn.delegator == address(0)) staking.withdrawOwn(ROLE, drawn.number);
            else staking.withdraw(drawn.operator, ROLE, drawn.number);
            ++dustBound[drawn.operator];
        }
        vm.prank(BENEFICIARY);
        staking.claim(BENEFICIARY);
    }

    function openCount() external view returns (uint256) {
        return open.length;
    }

    function poolOf(address operator) public view returns (INodeStaking.Pool memory pool) {
        (pool.own, pool.delegated, pool.factor, pool.generation, pool.ownLeaving, pool.unitsLeaving) = staking.pools(
            operator,
            ROLE
        );
    }

    /// @notice Units that are worth something.
    function unitsOf(address operator, address delegator) public view returns (uint256) {
        (uint128 units, uint16 generation, ) = staking.positions(operator, ROLE, delegator);
        return generation == poolOf(operator).generation ? units : 0;
    }

    function ticketOf(Drawn memory drawn) public view returns (INodeStaking.Ticket memory) {
        return staking.ticketOf(drawn.operator, ROLE, drawn.delegator, drawn.number);
    }

    function _fund(address who) private {
        opg.transfer(who, 100_000_000e18);
        vm.prank(who);
        opg.approve(address(staking), type(uint256).max);
    }

    /// Amounts of every size up to 10M OPG alike, from a wei to millions.
    function _amount(uint256 seed, uint256 minimum) private pure returns (uint256) {
        return bound(seed >> 8, minimum, minimum + MAX_AMOUNT / 10 ** ((seed & 0xff) % 26));
    }
}
