// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Batch} from "../../contracts/settlement/IProofSettlement.sol";
import {OPG} from "../../contracts/token/OPG.sol";
import {ReentrantToken} from "./support/ReentrantToken.sol";
import {SettlementFixture} from "./support/SettlementFixture.sol";
import {vm} from "./Vm.sol";

/// @notice Whatever function of the settlement moves tokens, none that does can be entered from within it.
/// (`sweepProtocolCredit` asks for the owner first, and the token is not.)
contract ProofSettlementReentrancyTest is SettlementFixture {
    address private constant MODEL_OWNER = address(0xBEEF);

    ReentrantToken private token;

    function setUp() public override {
        super.setUp();
        _seat([uint88(1), 1, 1, 1, 1, 1]);
    }

    function test_guardedFunctions_cannotBeReentered() external {
        bytes[] memory inner = new bytes[](4);
        inner[0] = abi.encodeCall(settlement.deposit, (address(this), 1));
        inner[1] = abi.encodeCall(settlement.withdraw, (0));
        inner[2] = abi.encodeCall(settlement.claim, (address(this)));
        inner[3] = abi.encodeCall(settlement.claimSeatCredits, (0, address(this)));
        address verifier = settlement.seats()[0].operator;
        for (uint256 i; i < inner.length; ++i) {
            _earn(i);
            token.arm(address(settlement), inner[i]);
            settlement.deposit(address(this), 1);
            _requireRefused("deposit");
            settlement.withdraw(1);
            _requireRefused("withdraw");
            vm.prank(MODEL_OWNER);
            settlement.claim(MODEL_OWNER);
            _requireRefused("claim");
            vm.prank(verifier);
            settlement.claimSeatCredits(0, verifier);
            _requireRefused("claimSeatCredits");
            settlement.sweepProtocolCredit(address(this));
            _requireRefused("sweepProtocolCredit");
            token.arm(address(0), "");
        }
    }

    function _settlementToken() internal override returns (OPG) {
        token = new ReentrantToken();
        return OPG(address(token));
    }

    /// Settles a batch that pays everyone.
    function _earn(uint256 i) private {
        _receipt(i, 1e18);
        uint256[] memory royalties = new uint256[](1);
        royalties[0] = (uint256(uint160(MODEL_OWNER)) << 96) | 1e16;
        Batch memory batch = _header(_leafOf(i), 1e18, 1, keccak256(abi.encodePacked(royalties)));
        uint256 all = (1 << SEATS) - 1;
        settlement.submitBatch(batch, royalties, all, _votes(settlement.batchIdOf(batch), all));
    }

    function _requireRefused(string memory outer) private {
        requireEqual(outer, token.calls(), 1);
        requireTrue(outer, !token.reentered());
        requireTrue(outer, token.refusal() == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        token.arm(token.target(), token.payload());
    }
}
