// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {FeedTerms, IOpgPriceFeed, Observation} from "./IOpgPriceFeed.sol";

/// @title OPG in US dollars
contract OpgPriceFeed is IOpgPriceFeed, Ownable2Step {
    // one slot: roundId 80 | price 96 | startedAt 40 | updatedAt 40
    struct Round {
        uint80 roundId;
        uint96 price;
        uint40 startedAt;
        uint40 updatedAt;
    }

    /// @dev What the fresh observations say together.
    struct Market {
        uint256 fresh;
        uint256 lowest;
        uint256 median;
        uint256 highest;
        uint256 oldest;
    }

    uint256 public constant MAX_REPORTERS = 15;
    /// @notice With fewer, one reporter would be half of the answer.
    uint256 public constant MIN_QUORUM = 3;
    /// @notice How many rounds `getRoundData` remembers.
    uint256 public constant HISTORY = 256;
    uint256 private constant BPS = 10_000;
    uint256 private constant MIN_AGE = 1 minutes;
    uint256 private constant MAX_AGE = 1 days;

    // solhint-disable const-name-snakecase
    /// @inheritdoc AggregatorV3Interface
    uint8 public constant decimals = 8;
    /// @inheritdoc AggregatorV3Interface
    string public constant description = "OPG / USD";
    /// @inheritdoc AggregatorV3Interface
    uint256 public constant version = 1;
    // solhint-enable const-name-snakecase

    /// @inheritdoc IOpgPriceFeed
    FeedTerms public terms;
    uint80 private _latest;
    Observation[] private _observations;
    /// one more than the index in `_observations`
    mapping(address reporter => uint256) private _numbers;
    mapping(uint256 roundId => Round) private _rounds;

    constructor(address owner_, FeedTerms memory terms_, address[] memory reporters) Ownable(owner_) {
        for (uint256 i = 0; i < reporters.length; ++i) _add(reporters[i]);
        _setTerms(terms_);
    }

    /// @inheritdoc IOpgPriceFeed
    function report(uint96 price, uint40 observedAt) external {
        uint256 number = _numbers[msg.sender];
        require(number != 0, NotReporter(msg.sender));
        require(price != 0, InvalidPrice(price));
        require(observedAt <= block.timestamp, ObservationOfFuture(observedAt, block.timestamp));
        require(_isFresh(observedAt), ObservationTooOld(observedAt, block.timestamp - terms.maxAge));
        Observation storage mine = _observations[number - 1];
        require(observedAt > mine.observedAt, ObservationNotNewer(observedAt, mine.observedAt));
        (mine.price, mine.observedAt) = (price, observedAt);
        emit Reported(msg.sender, price, observedAt);
        _beginRound();
    }

    /// @inheritdoc IOpgPriceFeed
    function addReporter(address reporter) external onlyOwner {
        _add(reporter);
        _checkTerms(terms);
    }

    /// @inheritdoc IOpgPriceFeed
    function removeReporter(address reporter) external onlyOwner {
        uint256 number = _numbers[reporter];
        require(number != 0, NotReporter(reporter));
        Observation memory last = _observations[_observations.length - 1];
        _observations[number - 1] = last;
        _numbers[last.reporter] = number;
        _observations.pop();
        delete _numbers[reporter];
        emit ReporterRemoved(reporter);
    }

    /// @inheritdoc IOpgPriceFeed
    function setTerms(FeedTerms calldata newTerms) external onlyOwner {
        _setTerms(newTerms);
    }

    /// @inheritdoc AggregatorV3Interface
    /// @dev `startedAt` is the oldest observation that counted, `updatedAt` when the answer was made. Checks the observations anew: they may have
    /// become old, or moved away from the answer, since.
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        Market memory market = _market();
        FeedTerms memory limits = terms;
        Round memory round = _rounds[_latest % HISTORY];
        require(market.fresh >= limits.quorum, TooFewFresh(market.fresh, limits.quorum));
        require(
            _near(market.lowest, market.highest, limits.maxSpreadBps),
            SpreadTooWide(market.lowest, market.highest, limits.maxSpreadBps)
        );
        require(_isFresh(round.updatedAt), AnswerTooOld(round.updatedAt, block.timestamp - limits.maxAge));
        require(
            _near(round.price, market.median, limits.maxStepBps),
            StepTooLarge(round.price, market.median, limits.maxStepBps)
        );
        return _data(round);
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(
        uint80 id
    )
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        Round memory round = _rounds[id % HISTORY];
        require(id != 0 && round.roundId == id, RoundNotKept(id));
        return _data(round);
    }

    /// @inheritdoc IOpgPriceFeed
    function observations() external view returns (Observation[] memory) {
        return _observations;
    }

    function _add(address reporter) private {
        require(reporter != address(0), InvalidReporter(reporter));
        require(_numbers[reporter] == 0, ReporterExists(reporter));
        _observations.push(Observation(reporter, 0, 0));
        _numbers[reporter] = _observations.length;
        require(_observations.length <= MAX_REPORTERS, TooManyReporters(_observations.length, MAX_REPORTERS));
        emit ReporterAdded(reporter);
    }

    function _setTerms(FeedTerms memory newTerms) private {
        _checkTerms(newTerms);
        terms = newTerms;
        emit TermsSet(newTerms);
    }

    /// @dev Does nothing while the observations allow no answer.
    function _beginRound() private {
        Market memory market = _market();
        FeedTerms memory limits = terms;
        Round memory last = _rounds[_latest % HISTORY];
        if (market.fresh < limits.quorum) return;
        if (!_near(market.lowest, market.highest, limits.maxSpreadBps)) return;
        if (_isFresh(last.updatedAt) && !_near(last.price, market.median, limits.maxStepBps)) return;
        uint80 roundId = ++_latest;
        _rounds[roundId % HISTORY] = Round(
            roundId,
            uint96(market.median),
            uint40(market.oldest),
            uint40(block.timestamp)
        );
        emit AnswerUpdated(int256(market.median), roundId, block.timestamp);
    }

    function _market() private view returns (Market memory market) {
        uint256[] memory prices = new uint256[](_observations.length);
        market.oldest = block.timestamp;
        for (uint256 i = 0; i < prices.length; ++i) {
            Observation memory seen = _observations[i];
            if (!_isFresh(seen.observedAt)) continue;
            if (seen.observedAt < market.oldest) market.oldest = seen.observedAt;
            uint256 place = market.fresh;
            ++market.fresh;
            for (; place != 0 && prices[place - 1] > seen.price; --place) prices[place] = prices[place - 1];
            prices[place] = seen.price;
        }
        if (market.fresh == 0) return market;
        market.lowest = prices[0];
        market.highest = prices[market.fresh - 1];
        market.median = (prices[(market.fresh - 1) / 2] + prices[market.fresh / 2]) / 2;
    }

    function _isFresh(uint256 time) private view returns (bool) {
        return time + terms.maxAge >= block.timestamp;
    }

    /// @dev Any two quorums share a reporter, so no minority answers on its own.
    function _checkTerms(FeedTerms memory checked) private view {
        bool sound =
            checked.quorum >= MIN_QUORUM &&
                2 * uint256(checked.quorum) > _observations.length &&
                checked.maxAge >= MIN_AGE &&
                checked.maxAge <= MAX_AGE &&
                checked.maxSpreadBps != 0 &&
                checked.maxSpreadBps < BPS &&
                checked.maxStepBps != 0 &&
                checked.maxStepBps < BPS;
        require(sound, InvalidTerms(checked));
    }

    function _near(uint256 a, uint256 b, uint256 maxBps) private pure returns (bool) {
        (uint256 low, uint256 high) = a < b ? (a, b) : (b, a);
        return (high - low) * BPS <= low * maxBps;
    }

    function _data(Round memory round) private pure returns (uint80, int256, uint256, uint256, uint80) {
        return (round.roundId, int256(uint256(round.price)), round.startedAt, round.updatedAt, round.roundId);
    }
}
