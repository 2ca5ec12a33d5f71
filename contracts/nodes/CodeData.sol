// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Long bytes kept as the code of a contract, which costs a third of storage to write and a tenth to read
/// @dev The code begins with STOP, so that it can be called by nobody and is never anything but data.
library CodeData {
    error DataNotStored();

    /// @notice Creates a contract that holds `data`, at most 24,575 bytes.
    function write(bytes memory data) internal returns (address pointer) {
        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE (0), RETURN; then the code
        bytes memory init = abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a3d393df300", data);
        assembly ("memory-safe") {
            pointer := create(0, add(init, 32), mload(init))
        }
        require(pointer != address(0), DataNotStored());
    }

    /// @notice `length` bytes of the data from byte `start`; what lies beyond its end is zero.
    function read(address pointer, uint256 start, uint256 length) internal view returns (bytes memory data) {
        data = new bytes(length);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(data, 32), add(start, 1), length)
        }
    }

    /// @notice Number of bytes that are stored.
    function size(address pointer) internal view returns (uint256) {
        return pointer.code.length - 1;
    }
}
