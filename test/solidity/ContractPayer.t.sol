// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

import {Request} from "../../contracts/escrow/IInferenceEscrow.sol";
import {InferenceEscrow} from "../../contracts/escrow/InferenceEscrow.sol";
import {ReceiptLib} from "../../contracts/receipts/ReceiptLib.sol";
import {NodeStaking} from "../../contracts/staking/NodeStaking.sol";
import {Role} from "../../contracts/staking/INodeStaking.sol";
import {ContractWallet} from "./support/ContractWallet.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";
import {vm} from "./Vm.sol";

/// @notice Contracts as payers, operators and delegators: they pay by allowance and pull what they are owed.
contract ContractPayerTest is EscrowFixture {
    uint256 private constant OWNER_KEY = uint256(keccak256("wallet owner"));
    bytes32 private constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    InferenceEscrow private escrow;
    ContractWallet private wallet;
    bytes32 private modelId;

    function setUp() public override {
        super.setUp();
        escrow = _newEscrow(100);
        modelId = _publish(1_000);
        wallet = new ContractWallet(address(this));
        opg.transfer(address(wallet), 100e18);
        wallet.execute(address(opg), abi.encodeCall(opg.approve, (address(escrow), type(uint256).max)));
    }

    function test_lock_byAContract_isAnsweredAndTheRestClaimed() external {
        Request memory request = _lock();
        _fulfil(escrow, request, 4e18);
        wallet.execute(address(escrow), abi.encodeCall(escrow.claim, (address(wallet))));
        requireEqual("wallet", opg.balanceOf(address(wallet)), 96e18);
        requireEqual("operator", escrow.credits(OPERATOR), 3.56e18);
    }

    function test_refund_toAContract_isClaimed() external {
        Request memory request = _lock();
        vm.warp(request.deadline + 1);
        escrow.refund(request);
        wallet.execute(address(escrow), abi.encodeCall(escrow.claim, (address(0xFEE))));
        requireEqual("receiver", opg.balanceOf(address(0xFEE)), 10e18);
        requireEqual("left", opg.balanceOf(address(escrow)), 0);
    }

    function test_lockWithAuthorization_signedByAWalletsOwner_reverts() external {
        // ERC-3009 as OPG has it knows keys only; a wallet's owner is not the wallet
        ContractWallet owned = new ContractWallet(vm.addr(OWNER_KEY));
        opg.transfer(address(owned), 100e18);
        Request memory request = _request(address(owned), modelId, 10e18);
        (uint8 v, bytes32 r, bytes32 s) = _authorize(request);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector));
        escrow.lockWithAuthorization(request, 0, type(uint40).max, v, r, s);
    }

    function test_lockWithAuthorization_signedByThePayersKey_succeeds() external {
        // the same digest, by a payer who is a key: shows that the refusal above is about the signer alone
        address payer = vm.addr(OWNER_KEY);
        opg.transfer(payer, 100e18);
        Request memory request = _request(payer, modelId, 10e18);
        (uint8 v, bytes32 r, bytes32 s) = _authorize(request);
        escrow.lockWithAuthorization(request, 0, type(uint40).max, v, r, s);
        requireEqual("locked", opg.balanceOf(address(escrow)), 10e18);
    }

    function test_delegate_byAContract_comesBack() external {
        NodeStaking staking = NodeStaking(address(nodes.staking()));
        opg.approve(address(staking), 1);
        staking.stake(Role.Inference, 1);
        wallet.execute(address(opg), abi.encodeCall(opg.approve, (address(staking), 5e18)));
        wallet.execute(address(staking), abi.encodeCall(staking.delegate, (address(this), Role.Inference, 5e18, 5e18)));
        wallet.execute(address(staking), abi.encodeCall(staking.undelegate, (address(this), Role.Inference, 5e18)));
        vm.warp(vm.getBlockTimestamp() + 7 days);
        wallet.execute(address(staking), abi.encodeCall(staking.withdraw, (address(this), Role.Inference, 0)));
        requireEqual("wallet", opg.balanceOf(address(wallet)), 100e18);
    }

    function _lock() private returns (Request memory request) {
        request = _request(address(wallet), modelId, 10e18);
        wallet.execute(address(escrow), abi.encodeCall(escrow.lock, (request)));
    }

    /// Signs the payer's authorization of a request with the wallet owner's key.
    function _authorize(Request memory request) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 authorization = keccak256(
            abi.encode(
                RECEIVE_TYPEHASH,
                request.payer,
                address(escrow),
                request.maxFee,
                0,
                type(uint40).max,
                escrow.requestIdOf(request)
            )
        );
        return vm.sign(OWNER_KEY, ReceiptLib.digest(opg.DOMAIN_SEPARATOR(), authorization));
    }
}
