// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Where snapshots of verifier sets are found
interface IVerifierSnapshots {
    /// @notice A snapshot; all zero when there is none. `VerifierVotes` reads its code.
    /// @return code contract that holds it.
    /// @return takenAt unix seconds.
    /// @return supersededAt unix seconds; zero while it is the current one.
    function snapshots(uint256 setId) external view returns (address code, uint48 takenAt, uint48 supersededAt);
}
