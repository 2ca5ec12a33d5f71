// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The terms a batch is settled under.
/// @dev One slot. A version never changes, and a batch names its own, so it ends under the terms it began with.
struct Terms {
    /// part of a batch's fees for the protocol, basis points
    uint16 protocolBps;
    /// part for the verifiers that approved, basis points
    uint16 verifierBps;
    /// most that royalties may come to, basis points of the fees
    uint16 maxRoyaltyBps;
    /// challenger's part of what is slashed, basis points; the rest is burned
    uint16 rewardBps;
    /// what a verifier loses for approving a wrong batch, basis points of the stake its vote weighed
    uint16 voterSlashBps;
    /// seconds until a batch without a quorum may be finalised
    uint32 window;
    /// seconds after posting that a batch, final or not, can be proven wrong
    uint32 accountability;
    /// seconds a receipt may wait to be posted
    uint32 receiptDeadline;
    /// whole OPG locked while a batch is pending
    uint32 bond;
    /// whole OPG an operator loses for a wrong batch
    uint32 submitterSlash;
}

/// @title Versions of the settlement terms
/// @notice New versions apply to batches posted later. Bounds keep every version within what stake can answer for.
abstract contract FeeSchedule {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant MAX_REWARD_BPS = 2_000;
    uint256 internal constant MAX_WINDOW = 7 days;
    uint256 internal constant MAX_RECEIPT_DEADLINE = 30 days;

    mapping(uint256 version => Terms) internal _terms;

    event TermsSet(uint256 indexed version, Terms terms);

    error InvalidTerms();

    /// @notice A version of the terms; all zero when there is none.
    function terms(uint256 version) external view returns (Terms memory) {
        return _terms[version];
    }

    /// @param maxAccountability seconds that bonded stake is sure to stay, less the age a verifier set may have.
    function _setTerms(uint256 version, Terms memory t, uint256 maxAccountability) internal {
        require(
            uint256(t.protocolBps) + t.verifierBps + t.maxRoyaltyBps <= BPS &&
                t.rewardBps <= MAX_REWARD_BPS &&
                t.voterSlashBps <= BPS &&
                t.window != 0 &&
                t.window <= MAX_WINDOW &&
                t.accountability >= t.window &&
                t.accountability <= maxAccountability &&
                t.receiptDeadline != 0 &&
                t.receiptDeadline <= MAX_RECEIPT_DEADLINE,
            InvalidTerms()
        );
        _terms[version] = t;
        emit TermsSet(version, t);
    }
}
