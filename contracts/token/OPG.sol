// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// @title OpenGradient token
/// @notice 1,000,000,000 OPG, minted once; it can be burned and never minted again. Approvals by signature (EIP-2612) and
/// transfers by signature with random nonces (ERC-3009), so that paying needs neither ETH nor an approval.
/// @dev EIP-712 domain: name "OpenGradient", version "1". The supply stays below 2^90, so a uint96 holds any amount.
contract OPG is ERC20, ERC20Burnable, ERC20Permit, ERC3009 {
    /// @notice Whole supply at genesis, in wei of OPG.
    uint256 public constant INITIAL_SUPPLY = 1_000_000_000e18;

    /// @param holder receives the whole supply.
    constructor(address holder) ERC20("OpenGradient", "OPG") ERC20Permit("OpenGradient") {
        _mint(holder, INITIAL_SUPPLY);
    }
}
