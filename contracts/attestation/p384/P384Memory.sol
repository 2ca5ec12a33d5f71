// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Where the P-384 code keeps its numbers. Addresses are absolute, since an address that is a constant costs nothing to compute;
// `claimWorkspace` takes the range from Solidity's allocator first, so nobody else writes there.
//
// A number is 64 bytes: its high 128 bits in the first word, its low 256 bits in the second. A point (x, 2y) is two numbers, 128 bytes.
//
//   0x0400  T0 … T4          5 numbers that live within one operation on points
//   0x0540  ACC_X, _Y2, _Z   the accumulator, Jacobian: x = X / Z², 2y = Y2 / Z³; infinity when Z = 0
//   0x0600  ADDEND           the affine point being added, its sign applied
//   0x0680  DIGEST, R, S     what was signed and the signature
//   0x0740  KEY              the public key (x, y)
//   0x07c0  U1, U2           the scalars: u1 = digest / s, u2 = r / s
//   0x0840  BIG_Z            common denominator of the key's table, then its inverse
//   0x0880  TWICE_KEY        2Q while the table is being made
//   0x0900  KEY_TABLE        Q, 3Q, … 15Q as affine (x, 2y)
//   0x0d00  RATIOS           Z of each of these over Z of the one before, 8 numbers of which the first is not used
//   0x0f00  DIGITS           385 words, one for each bit: digit of u1 in the high half, digit of u2 in the low half
//   0x3f20  MODEXP           input of the precompile, at most 0xf1 bytes
//   0x4020  end

uint256 constant WORKSPACE = 0x0400;

uint256 constant T0 = 0x0400;
uint256 constant T1 = 0x0440;
uint256 constant T2 = 0x0480;
uint256 constant T3 = 0x04c0;
uint256 constant T4 = 0x0500;

uint256 constant ACC_X = 0x0540;
uint256 constant ACC_Y2 = 0x0580;
uint256 constant ACC_Z = 0x05c0;

uint256 constant ADDEND_X = 0x0600;
uint256 constant ADDEND_Y2 = 0x0640;

uint256 constant DIGEST = 0x0680;
uint256 constant R = 0x06c0;
uint256 constant S = 0x0700;
uint256 constant KEY_X = 0x0740;
uint256 constant KEY_Y = 0x0780;
uint256 constant U1 = 0x07c0;
uint256 constant U2 = 0x0800;

uint256 constant BIG_Z = 0x0840;
uint256 constant TWICE_KEY_X = 0x0880;
uint256 constant TWICE_KEY_Y = 0x08c0;
uint256 constant KEY_TABLE = 0x0900;
uint256 constant RATIOS = 0x0d00;

uint256 constant DIGITS = 0x0f00;
uint256 constant DIGITS_END = 0x3f20;

uint256 constant MODEXP = 0x3f20;
uint256 constant WORKSPACE_END = 0x4020;

/// The compiler keeps memory of its own where the numbers go: another compiler, or other settings than hardhat.config.ts has.
error WorkspaceTaken(uint256 freeMemory);

/// @dev Takes the range from Solidity's allocator, provided that nothing of it is in use, and clears the digits.
/// Memory-safe: it writes to the free memory pointer, which it only raises, and then to what it has taken.
function claimWorkspace() pure {
    uint256 freeMemory;
    assembly ("memory-safe") {
        freeMemory := mload(0x40)
    }
    require(freeMemory <= WORKSPACE, WorkspaceTaken(freeMemory));
    assembly ("memory-safe") {
        mstore(0x40, WORKSPACE_END)
        calldatacopy(DIGITS, calldatasize(), sub(DIGITS_END, DIGITS))
    }
}
