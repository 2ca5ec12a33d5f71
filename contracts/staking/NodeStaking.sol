// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {OPG} from "../token/OPG.sol";
import {INodeStaking, Role} from "./INodeStaking.sol";

/// @title Bonds of node operators
/// @notice See `INodeStaking`.
contract NodeStaking is INodeStaking, Ownable2Step, ReentrancyGuardTransient {
    using SafeCast for uint256;

    uint64 private constant ONE = 1e18;
    /// Below this factor a pool's delegations have lost 99.9999999 %: their generation ends, and units cannot grow without bound.
    uint64 private constant DEAD_FACTOR = 1e9;
    uint256 private constant MIN_DELEGATION = 1e18;
    uint256 private constant MAX_REWARD_BPS = 2_000;
    uint256 private constant MIN_UNBONDING = 1 hours;
    uint256 private constant MAX_UNBONDING = 365 days;
    /// Tickets of own stake are filed under the delegator nobody can be.
    address private constant OWN = address(0);

    OPG public immutable token;
    /// @inheritdoc INodeStaking
    uint256 public immutable unbonding;

    mapping(address operator => mapping(Role role => Pool)) public pools;
    mapping(address operator => mapping(Role role => mapping(address delegator => Position))) public positions;
    mapping(address operator => mapping(Role role => uint32)) public ownTickets;
    mapping(bytes32 key => Ticket) private _tickets;
    mapping(address slasher => bool) public isSlasher;
    /// @notice Rewards of challengers that wait to be claimed, in wei of OPG.
    mapping(address beneficiary => uint256) public credits;

    constructor(OPG token_, address owner_, uint256 unbonding_) Ownable(owner_) {
        require(
            unbonding_ >= MIN_UNBONDING && unbonding_ <= MAX_UNBONDING,
            UnbondingOutOfRange(unbonding_, MIN_UNBONDING, MAX_UNBONDING)
        );
        token = token_;
        unbonding = unbonding_;
    }

    /// @inheritdoc INodeStaking
    function stake(Role role, uint256 amount) external nonReentrant {
        require(amount != 0, AmountTooSmall(0, 1));
        Pool storage pool = pools[msg.sender][role];
        uint64 factor = pool.factor;
        pool.own = (uint256(pool.own) + amount).toUint88();
        if (factor == 0) pool.factor = ONE;
        emit Staked(msg.sender, role, amount);
        token.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc INodeStaking
    function unstake(Role role, uint256 amount) external returns (uint256 ticket) {
        Pool storage pool = pools[msg.sender][role];
        uint256 leaving = pool.ownLeaving;
        uint256 free = _sub0(pool.own, leaving);
        require(amount != 0, AmountTooSmall(0, 1));
        require(amount <= free, InsufficientStake(free, amount));
        pool.ownLeaving = (leaving + amount).toUint88();
        ticket = ownTickets[msg.sender][role]++;
        uint256 releaseAt = block.timestamp + unbonding;
        _tickets[_key(msg.sender, role, OWN, ticket)] = Ticket(amount.toUint128(), releaseAt.toUint48(), 0);
        emit UnstakeRequested(msg.sender, role, ticket, amount, releaseAt);
    }

    /// @inheritdoc INodeStaking
    function withdrawOwn(Role role, uint256 ticket) external nonReentrant returns (uint256 paid) {
        Ticket memory t = _take(_key(msg.sender, role, OWN, ticket));
        Pool storage pool = pools[msg.sender][role];
        uint256 own = pool.own;
        // all tickets are one person's, so what a slash took is missing from the ones withdrawn last
        paid = t.units < own ? t.units : own;
        pool.own = uint88(own - paid);
        pool.ownLeaving -= uint88(t.units);
        emit Withdrawn(msg.sender, role, msg.sender, ticket, paid);
        if (paid != 0) token.transfer(msg.sender, paid);
    }

    /// @inheritdoc INodeStaking
    function delegate(
        address operator,
        Role role,
        uint256 amount,
        uint256 minUnits
    ) external nonReentrant returns (uint256 units) {
        require(amount >= MIN_DELEGATION, AmountTooSmall(amount, MIN_DELEGATION));
        Pool storage pool = pools[operator][role];
        (uint256 delegated, uint256 factor, uint16 generation) = (pool.delegated, pool.factor, pool.generation);
        require(factor != 0, PoolNotOpen(operator, role));
        units = (amount * ONE) / factor;
        require(units >= minUnits, InsufficientUnits(units, minUnits));
        pool.delegated = (delegated + amount).toUint88();
        Position storage position = positions[operator][role][msg.sender];
        uint256 held = position.generation == generation ? position.units : 0;
        position.units = (held + units).toUint128();
        position.generation = generation;
        emit Delegated(operator, role, msg.sender, amount, units);
        token.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc INodeStaking
    function undelegate(address operator, Role role, uint256 units) external returns (uint256 ticket) {
        Pool storage pool = pools[operator][role];
        Position storage position = positions[operator][role][msg.sender];
        uint16 generation = pool.generation;
        (uint256 held, uint16 since, uint32 next) = (position.units, position.generation, position.tickets);
        if (since != generation) held = 0;
        require(units != 0, AmountTooSmall(0, 1));
        require(units <= held, InsufficientUnits(held, units));
        position.units = uint128(held - units);
        position.tickets = next + 1;
        ticket = next;
        pool.unitsLeaving = (uint256(pool.unitsLeaving) + units).toUint128();
        uint256 releaseAt = block.timestamp + unbonding;
        _tickets[_key(operator, role, msg.sender, ticket)] = Ticket(uint128(units), releaseAt.toUint48(), generation);
        emit UndelegateRequested(operator, role, msg.sender, ticket, units, releaseAt);
    }

    /// @inheritdoc INodeStaking
    function withdraw(address operator, Role role, uint256 ticket) external nonReentrant returns (uint256 paid) {
        Ticket memory t = _take(_key(operator, role, msg.sender, ticket));
        Pool storage pool = pools[operator][role];
        if (t.generation == pool.generation) {
            paid = (uint256(t.units) * pool.factor) / ONE;
            pool.delegated -= uint88(paid);
            pool.unitsLeaving -= t.units;
        }
        emit Withdrawn(operator, role, msg.sender, ticket, paid);
        if (paid != 0) token.transfer(msg.sender, paid);
    }

    /// @inheritdoc INodeStaking
    function slash(
        SlashTarget[] calldata targets,
        address beneficiary,
        uint256 rewardBps
    ) external nonReentrant returns (uint256 taken) {
        require(isSlasher[msg.sender], NotSlasher(msg.sender));
        for (uint256 i; i < targets.length; ++i) {
            taken += _slash(targets[i].operator, targets[i].role, targets[i].amount);
        }
        if (taken == 0) return 0;
        uint256 reward = (taken * (rewardBps < MAX_REWARD_BPS ? rewardBps : MAX_REWARD_BPS)) / 10_000;
        if (reward != 0) credits[beneficiary] += reward;
        emit SlashSettled(beneficiary, reward, taken - reward);
        token.burn(taken - reward);
    }

    /// @inheritdoc INodeStaking
    function claim(address to) external nonReentrant returns (uint256 amount) {
        amount = credits[msg.sender];
        credits[msg.sender] = 0;
        emit Claimed(msg.sender, to, amount);
        if (amount != 0) token.transfer(to, amount);
    }

    /// @inheritdoc INodeStaking
    function setSlasher(address slasher, bool allowed) external onlyOwner {
        isSlasher[slasher] = allowed;
        emit SlasherSet(slasher, allowed);
    }

    /// @inheritdoc INodeStaking
    function activeStake(address operator, Role role) external view returns (uint256) {
        Pool storage pool = pools[operator][role];
        // rounded up, so that what leaves is never counted as staying
        uint256 delegatedLeaving = (uint256(pool.unitsLeaving) * pool.factor + ONE - 1) / ONE;
        return _sub0(pool.own, pool.ownLeaving) + _sub0(pool.delegated, delegatedLeaving);
    }

    /// @inheritdoc INodeStaking
    function delegationValue(address operator, Role role, address delegator) external view returns (uint256) {
        Position storage position = positions[operator][role][delegator];
        Pool storage pool = pools[operator][role];
        return position.generation == pool.generation ? (uint256(position.units) * pool.factor) / ONE : 0;
    }

    /// @inheritdoc INodeStaking
    function ticketOf(
        address operator,
        Role role,
        address delegator,
        uint256 ticket
    ) external view returns (Ticket memory) {
        return _tickets[_key(operator, role, delegator, ticket)];
    }

    function _slash(address operator, Role role, uint256 amount) private returns (uint256) {
        Pool storage pool = pools[operator][role];
        (uint256 own, uint256 delegated) = (pool.own, pool.delegated);
        (uint256 factor, uint16 generation) = (pool.factor, pool.generation);
        uint256 fromOwn = amount < own ? amount : own;
        uint256 fromPool = amount - fromOwn < delegated ? amount - fromOwn : delegated;
        if (fromPool != 0) {
            // one division, rounded down: the values of all units never add up to more than `delegated`
            factor = (factor * (delegated - fromPool)) / delegated;
            if (factor < DEAD_FACTOR) {
                // 65,535 ends would take as many delegations of at least 1 OPG lost whole, each by a slasher's act
                emit GenerationEnded(operator, role, generation);
                (fromPool, factor, generation) = (delegated, ONE, generation + 1);
                pool.unitsLeaving = 0;
            }
        }
        if (fromOwn + fromPool == 0) return 0;
        // one write of the whole first slot; the compiler would make four. No field exceeds its width: the first two only shrank,
        // the factor is at most what it was, or ONE
        uint256 slot =
            (own - fromOwn) | ((delegated - fromPool) << 88) | (factor << 176) | (uint256(generation) << 240);
        assembly ("memory-safe") {
            sstore(pool.slot, slot)
        }
        emit Slashed(operator, role, fromOwn, fromPool);
        return fromOwn + fromPool;
    }

    function _take(bytes32 key) private returns (Ticket memory t) {
        t = _tickets[key];
        require(t.releaseAt != 0 && block.timestamp >= t.releaseAt, TicketNotMature(t.releaseAt));
        delete _tickets[key];
    }

    function _key(address operator, Role role, address delegator, uint256 ticket) private pure returns (bytes32) {
        return keccak256(abi.encode(operator, role, delegator, ticket));
    }

    /// `a - b`, or zero: slashes can leave less own stake than there are tickets for.
    function _sub0(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
