// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What an operator's bond answers for. Each role of an operator is a pool of its own, slashed on its own.
enum Role {
    Inference,
    Data,
    Verifier
}

/// @title Bonds of node operators
/// @notice An operator bonds its own OPG for a role and may take delegations into the same pool. Own stake is the first loss:
/// a slash takes it before it touches delegations. Leaving stake keeps its place in the pool, and so stays slashable, until
/// it is withdrawn.
/// @dev Delegations are counted in units; `units * factor / 1e18` is their value in wei of OPG. A slash lowers `factor`, so it
/// costs the same whatever the number of delegators.
interface INodeStaking {
    /// @notice One bond: operator and role.
    /// @dev slot 0: own 88 | delegated 88 | factor 64 | generation 16; slot 1: ownLeaving 88 | unitsLeaving 128.
    /// 88 bits hold 309 million OPG a side.
    struct Pool {
        /// wei of OPG the operator put in, unbonding included
        uint88 own;
        /// wei of OPG of all delegations, unbonding included
        uint88 delegated;
        /// value of one unit, 1e18 = 1 wei; zero for a pool nobody opened
        uint64 factor;
        /// number of times the delegations were lost whole; units of earlier generations are worth nothing
        uint16 generation;
        /// part of `own` with an open ticket, before any slash
        uint88 ownLeaving;
        /// delegated units with an open ticket
        uint128 unitsLeaving;
    }

    /// @notice A delegator's part of a pool.
    /// @dev slot: units 128 | generation 16 | tickets 32
    struct Position {
        uint128 units;
        uint16 generation;
        /// number of tickets drawn so far, which is the number of the next
        uint32 tickets;
    }

    /// @notice Stake on its way out.
    /// @dev slot: units 128 | releaseAt 48 | generation 16
    struct Ticket {
        /// delegated units; wei of OPG for own stake
        uint128 units;
        /// unix seconds; zero for a ticket that does not exist, or no longer
        uint48 releaseAt;
        uint16 generation;
    }

    /// @notice One bond to slash, and how much of it.
    struct SlashTarget {
        address operator;
        Role role;
        /// wei of OPG; more than there is takes what there is
        uint256 amount;
    }

    event Staked(address indexed operator, Role indexed role, uint256 amount);
    event Delegated(
        address indexed operator,
        Role indexed role,
        address indexed delegator,
        uint256 amount,
        uint256 units
    );
    event UnstakeRequested(
        address indexed operator,
        Role indexed role,
        uint256 ticket,
        uint256 amount,
        uint256 releaseAt
    );
    event UndelegateRequested(
        address indexed operator,
        Role indexed role,
        address indexed delegator,
        uint256 ticket,
        uint256 units,
        uint256 releaseAt
    );
    event Withdrawn(address indexed operator, Role indexed role, address indexed owner, uint256 ticket, uint256 amount);
    event Slashed(address indexed operator, Role role, uint256 own, uint256 delegated);
    event GenerationEnded(address indexed operator, Role role, uint256 generation);
    event SlashSettled(address indexed beneficiary, uint256 reward, uint256 burned);
    event Claimed(address indexed beneficiary, address indexed to, uint256 amount);
    event SlasherSet(address indexed slasher, bool allowed);

    error AmountTooSmall(uint256 amount, uint256 minimum);
    error PoolNotOpen(address operator, Role role);
    error InsufficientStake(uint256 available, uint256 required);
    error InsufficientUnits(uint256 available, uint256 required);
    error TicketNotMature(uint256 releaseAt);
    error NotSlasher(address caller);
    error UnbondingOutOfRange(uint256 unbonding, uint256 minimum, uint256 maximum);

    /// @notice Bonds `amount` of the caller's OPG for `role` and opens the pool on the first call. Needs an allowance.
    /// @param amount wei of OPG, not zero.
    function stake(Role role, uint256 amount) external;

    /// @notice Draws a ticket for part of the caller's own stake; it no longer backs new work, and can be withdrawn after
    /// `unbonding` seconds.
    /// @return ticket its number, counted by operator and role from zero.
    function unstake(Role role, uint256 amount) external returns (uint256 ticket);

    /// @notice Pays a matured ticket of the caller's own stake: its amount, or what slashes have left of the whole own stake.
    /// @return paid wei of OPG.
    function withdrawOwn(Role role, uint256 ticket) external returns (uint256 paid);

    /// @notice Adds `amount` of the caller's OPG to an open pool.
    /// @param amount wei of OPG, at least 1 OPG.
    /// @param minUnits least number of units to accept: bounds what a slash just before can change.
    function delegate(address operator, Role role, uint256 amount, uint256 minUnits) external returns (uint256 units);

    /// @notice Draws a ticket for units of the caller's delegation.
    /// @return ticket its number, counted by pool and delegator from zero.
    function undelegate(address operator, Role role, uint256 units) external returns (uint256 ticket);

    /// @notice Pays a matured ticket of the caller's delegation at the unit's value now.
    /// @return paid wei of OPG; zero when the delegations of its generation were lost.
    function withdraw(address operator, Role role, uint256 ticket) external returns (uint256 paid);

    /// @notice Takes up to the given amounts and never reverts for want of stake. A part is credited to the beneficiary, the
    /// rest is burned. Slashers only.
    /// @dev It takes more in one case: where a unit would be left with less than a billionth of its first value, all delegations
    /// are lost. So a pool whose `factor` is near 1e9 already is one that the next slash of its delegations may empty.
    /// @param rewardBps part for the beneficiary in basis points of what was taken; more than 2,000 counts as 2,000.
    /// @return taken wei of OPG in all.
    function slash(
        SlashTarget[] calldata targets,
        address beneficiary,
        uint256 rewardBps
    ) external returns (uint256 taken);

    /// @notice Pays out the caller's rewards.
    /// @return amount wei of OPG.
    function claim(address to) external returns (uint256 amount);

    /// @notice Allows or forbids a contract to slash. Owner only.
    function setSlasher(address slasher, bool allowed) external;

    /// @notice Stake that backs new promises, in wei of OPG: without what is leaving.
    function activeStake(address operator, Role role) external view returns (uint256);

    /// @notice Value of a delegation, in wei of OPG, without what is leaving.
    function delegationValue(address operator, Role role, address delegator) external view returns (uint256);

    /// @notice A ticket; `delegator` is zero for own stake.
    function ticketOf(
        address operator,
        Role role,
        address delegator,
        uint256 ticket
    ) external view returns (Ticket memory);

    /// @notice Seconds between drawing a ticket and its release.
    function unbonding() external view returns (uint256);
}
