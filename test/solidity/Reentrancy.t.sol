// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Request} from "../../contracts/escrow/IInferenceEscrow.sol";
import {InferenceEscrow} from "../../contracts/escrow/InferenceEscrow.sol";
import {INodeStaking, Role} from "../../contracts/staking/INodeStaking.sol";
import {NodeStaking} from "../../contracts/staking/NodeStaking.sol";
import {OPG} from "../../contracts/token/OPG.sol";
import {ZkmlVerifier} from "../../contracts/zkml/ZkmlVerifier.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";
import {ReentrantToken} from "./support/ReentrantToken.sol";
import {vm} from "./Vm.sol";

/// @notice Whatever function moves tokens, none that moves tokens can be entered from within it.
contract ReentrancyTest is EscrowFixture {
    Role private constant ROLE = Role.Inference;

    ReentrantToken private token;
    NodeStaking private staking;
    InferenceEscrow private escrow;
    Request private request;

    function setUp() public override {
        super.setUp();
        token = new ReentrantToken();
        staking = new NodeStaking(OPG(address(token)), address(this), 1 hours);
        staking.setSlasher(address(this), true);
        escrow = new InferenceEscrow(
            OPG(address(token)),
            nodes,
            models,
            new ZkmlVerifier(models),
            DOMAIN,
            address(this),
            1_000
        );
        request = _request(address(this), _publish(0), 10e18);
    }

    function test_staking_guardedFunctions_cannotBeReentered() external {
        bytes[] memory inner = _stakingCalls();
        for (uint256 i; i < inner.length; ++i) {
            token.arm(address(staking), inner[i]);
            staking.stake(ROLE, 10e18);
            _requireRefused("stake");
            staking.delegate(address(this), ROLE, 10e18, 0);
            _requireRefused("delegate");
            staking.unstake(ROLE, 1e18);
            staking.undelegate(address(this), ROLE, 1e18);
            vm.warp(vm.getBlockTimestamp() + 1 hours);
            staking.withdrawOwn(ROLE, i);
            _requireRefused("withdrawOwn");
            staking.withdraw(address(this), ROLE, i);
            _requireRefused("withdraw");
            staking.slash(_targets(), address(this), 2_000);
            _requireRefused("slash");
            staking.claim(address(this));
            _requireRefused("claim");
        }
    }

    function test_escrow_guardedFunctions_cannotBeReentered() external {
        bytes[] memory inner = _escrowCalls();
        for (uint256 i; i < inner.length; ++i) {
            token.arm(address(escrow), inner[i]);
            request.salt = bytes32(i * 2);
            escrow.lock(request);
            _requireRefused("lock");
            _fulfil(escrow, request, 10e18);
            request.salt = bytes32(i * 2 + 1);
            escrow.lockWithAuthorization(request, 0, 0, 0, 0, 0);
            _requireRefused("lockWithAuthorization");
            vm.prank(OPERATOR);
            escrow.claim(OPERATOR);
            _requireRefused("claim");
            escrow.sweepProtocolCredit(address(this));
            _requireRefused("sweepProtocolCredit");
        }
    }

    /// @notice `refund` has no guard and needs none: it moves no tokens, and has done its bookkeeping when it returns.
    function test_escrow_refundFromWithinClaim_creditsOnce() external {
        escrow.lock(request);
        Request memory second = request;
        second.salt = bytes32(uint256(1));
        escrow.lock(second);
        vm.warp(vm.getBlockTimestamp() + 2 hours);
        escrow.refund(request);
        token.arm(address(escrow), abi.encodeCall(escrow.refund, (second)));
        requireEqual("claimed", escrow.claim(address(this)), 10e18);
        requireTrue("reentered", token.reentered());
        requireEqual("credit", escrow.credits(address(this)), 10e18);
        requireEqual("claimed later", escrow.claim(address(this)), 10e18);
        requireTrue("refunded twice", !token.reentered());
    }

    function _requireRefused(string memory outer) private {
        requireEqual(outer, token.calls(), 1);
        requireTrue(outer, !token.reentered());
        requireTrue(outer, token.refusal() == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        token.arm(token.target(), token.payload());
    }

    function _stakingCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](6);
        calls[0] = abi.encodeCall(staking.stake, (ROLE, 1));
        calls[1] = abi.encodeCall(staking.delegate, (address(this), ROLE, 1e18, 0));
        calls[2] = abi.encodeCall(staking.withdrawOwn, (ROLE, 0));
        calls[3] = abi.encodeCall(staking.withdraw, (address(this), ROLE, 0));
        calls[4] = abi.encodeCall(staking.slash, (_targets(), address(this), 0));
        calls[5] = abi.encodeCall(staking.claim, (address(this)));
    }

    function _escrowCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](3);
        calls[0] = abi.encodeCall(escrow.lock, (request));
        calls[1] = abi.encodeCall(escrow.lockWithAuthorization, (request, 0, 0, 0, 0, 0));
        calls[2] = abi.encodeCall(escrow.claim, (address(this)));
    }

    function _targets() private view returns (INodeStaking.SlashTarget[] memory targets) {
        targets = new INodeStaking.SlashTarget[](1);
        targets[0] = INodeStaking.SlashTarget(address(this), ROLE, 1e18);
    }
}
