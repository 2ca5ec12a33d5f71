// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";

/// @notice When the feed answers.
/// @dev one slot: quorum 8 | maxAge 32 | maxSpreadBps 16 | maxStepBps 16
struct FeedTerms {
    /// fresh observations that an answer takes; more than half of the reporters
    uint8 quorum;
    /// seconds after which an observation, and an answer, no longer counts
    uint32 maxAge;
    /// how far apart fresh observations may be, of the lowest
    uint16 maxSpreadBps;
    /// how far one round may be from the one before, of the lower
    uint16 maxStepBps;
}

/// @notice What one reporter saw last.
/// @dev slot 0: reporter 160 | price 96; slot 1: observedAt 40
struct Observation {
    address reporter;
    /// US dollars per OPG, 8 decimals
    uint96 price;
    /// unix seconds, zero before the first
    uint40 observedAt;
}

/// @title OPG in US dollars, 8 decimals, behind Chainlink's interface
/// @notice Reporters post what they observe on markets; the answer is the median of what is fresh. When too few are, when they contradict one
/// another, or when the median jumps, reading reverts: no price rather than a doubtful one. One reporter can close the feed and cannot move it
/// past what the others observed.
interface IOpgPriceFeed is AggregatorV3Interface {
    event ReporterAdded(address indexed reporter);
    event ReporterRemoved(address indexed reporter);
    event TermsSet(FeedTerms terms);
    event Reported(address indexed reporter, uint256 price, uint256 observedAt);
    /// @dev Chainlink's event of a new answer.
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    error InvalidTerms(FeedTerms terms);
    error InvalidReporter(address reporter);
    error ReporterExists(address reporter);
    error TooManyReporters(uint256 reporters, uint256 most);
    error NotReporter(address account);
    error InvalidPrice(uint256 price);
    error ObservationOfFuture(uint256 observedAt, uint256 time);
    error ObservationTooOld(uint256 observedAt, uint256 oldest);
    error ObservationNotNewer(uint256 observedAt, uint256 last);
    error TooFewFresh(uint256 fresh, uint256 quorum);
    error SpreadTooWide(uint256 lowest, uint256 highest, uint256 maxBps);
    error StepTooLarge(uint256 answer, uint256 median, uint256 maxBps);
    error AnswerTooOld(uint256 updatedAt, uint256 oldest);
    error RoundNotKept(uint80 roundId);

    /// @notice Posts the caller's observation of `price` at `observedAt`, and begins a round if the observations allow an answer.
    /// After a jump beyond `maxStepBps` no round begins until the last answer has become too old; the feed is closed meanwhile.
    function report(uint96 price, uint40 observedAt) external;

    function addReporter(address reporter) external;

    /// @notice Takes away a reporter and what it reported.
    function removeReporter(address reporter) external;

    function setTerms(FeedTerms calldata newTerms) external;

    function terms() external view returns (uint8 quorum, uint32 maxAge, uint16 maxSpreadBps, uint16 maxStepBps);

    function observations() external view returns (Observation[] memory);
}
