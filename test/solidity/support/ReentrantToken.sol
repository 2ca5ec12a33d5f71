// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Stands where OPG stands and says yes to everything, but calls a contract back whenever it is called.
/// OPG does no such thing; the guards must not have to rely on that.
contract ReentrantToken {
    address public target;
    bytes public payload;
    uint256 public calls;
    bool public reentered;
    bytes4 public refusal;

    /// @notice From now on every call of this token calls `target_` with `payload_`.
    function arm(address target_, bytes calldata payload_) external {
        (target, payload, calls, reentered, refusal) = (target_, payload_, 0, false, 0);
    }

    function transfer(address, uint256) external returns (bool) {
        return _reenter();
    }

    function transferFrom(address, address, uint256) external returns (bool) {
        return _reenter();
    }

    function burn(uint256) external {
        _reenter();
    }

    function receiveWithAuthorization(
        address,
        address,
        uint256,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        _reenter();
    }

    function _reenter() private returns (bool) {
        if (target == address(0)) return true;
        ++calls;
        bytes memory result;
        (reentered, result) = target.call(payload);
        refusal = bytes4(result);
        return true;
    }
}
