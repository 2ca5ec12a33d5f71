// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInferenceEscrow, Request} from "../../contracts/escrow/IInferenceEscrow.sol";
import {InferenceEscrow} from "../../contracts/escrow/InferenceEscrow.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";
import {bound, vm} from "./Vm.sol";

/// @notice The split of a locked amount for any fees and rates.
contract InferenceEscrowFuzzTest is EscrowFixture {
    function testFuzz_fulfil_theParts_addUpToWhatWasLocked(
        uint256 locked,
        uint256 fee,
        uint256 royaltyBps,
        uint256 protocolBps
    ) external {
        locked = bound(locked, 0, opg.totalSupply());
        fee = bound(fee, 0, locked);
        royaltyBps = bound(royaltyBps, 0, 2_000);
        protocolBps = bound(protocolBps, 0, 1_000);
        InferenceEscrow escrow = _newEscrow(uint16(protocolBps));
        opg.approve(address(escrow), locked);
        Request memory request = _request(address(this), _publish(uint16(royaltyBps)), uint96(locked));
        escrow.lock(request);
        requireEqual("locked", opg.balanceOf(address(escrow)), locked);
        _fulfil(escrow, request, uint96(fee));

        uint256 royalty = escrow.credits(MODEL_OWNER);
        uint256 protocolFee = escrow.protocolCredit();
        requireEqual("royalty", royalty, (fee * royaltyBps) / 10_000);
        requireEqual("protocol", protocolFee, (fee * protocolBps) / 10_000);
        requireEqual("operator", escrow.credits(OPERATOR), fee - royalty - protocolFee);
        requireEqual("payer", escrow.credits(address(this)), locked - fee);

        escrow.claim(address(this));
        vm.prank(OPERATOR);
        escrow.claim(OPERATOR);
        vm.prank(MODEL_OWNER);
        escrow.claim(MODEL_OWNER);
        escrow.sweepProtocolCredit(address(this));
        requireEqual("left", opg.balanceOf(address(escrow)), 0);
    }

    function testFuzz_refund_onlyAfterTheDeadline_returnsAll(uint256 locked, uint256 wait) external {
        locked = bound(locked, 0, opg.totalSupply());
        wait = bound(wait, 0, 2 hours);
        InferenceEscrow escrow = _newEscrow(100);
        opg.approve(address(escrow), locked);
        Request memory request = _request(address(this), _publish(0), uint96(locked));
        escrow.lock(request);
        vm.warp(vm.getBlockTimestamp() + wait);
        if (wait <= 1 hours) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.DeadlineOpen.selector, request.deadline));
            escrow.refund(request);
        } else {
            escrow.refund(request);
            requireEqual("claimed", escrow.claim(address(this)), locked);
            requireEqual("balance", opg.balanceOf(address(this)), opg.totalSupply());
        }
    }

    /// @notice Many requests between the same three, some answered for a part, some never.
    function testFuzz_requests_anyOutcome_areConserved(uint96[8] calldata amounts, uint8 outcomes) external {
        InferenceEscrow escrow = _newEscrow(1_000);
        opg.approve(address(escrow), type(uint256).max);
        bytes32 modelId = _publish(2_000);
        Request[8] memory requests;
        uint256 total;
        for (uint256 i; i < 8; ++i) {
            uint96 amount = uint96(bound(amounts[i], 0, 1e26));
            requests[i] = _request(address(this), modelId, amount);
            requests[i].salt = bytes32(i);
            escrow.lock(requests[i]);
            total += amount;
            if ((outcomes >> i) & 1 == 1) _fulfil(escrow, requests[i], amount / uint96(i + 1));
        }
        vm.warp(vm.getBlockTimestamp() + 2 hours);
        for (uint256 i; i < 8; ++i) if ((outcomes >> i) & 1 == 0) escrow.refund(requests[i]);
        uint256 owed =
            escrow.credits(address(this)) +
                escrow.credits(OPERATOR) +
                escrow.credits(MODEL_OWNER) +
                escrow.protocolCredit();
        requireEqual("owed", owed, total);
        requireEqual("held", opg.balanceOf(address(escrow)), total);
    }
}
