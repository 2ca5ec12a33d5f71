import { expect } from "chai";
import type { Interface } from "ethers";

import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import { freshState } from "../../../support/freshState.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, claimOf, deployLocalStage, erc3009Data, fund, signClaims, signRefund } from "../localStage.ts";
import type { LocalStage } from "../localStage.ts";

const TEN = opgWei(10);

describe("LocalBatchSettlement: attacks", () => {
  const state = freshState(async () => {
    const stage = await deployLocalStage();
    const config = await channelOf(stage);
    await fund(stage, config, TEN);
    const hostile = await stage.connection.ethers.deployContract("HostileCollector");
    await stage.opg.transfer(hostile, TEN);
    return { ...stage, config, hostile };
  });

  it("deposit_collectorBringsNothing_creditsNothing", async () => {
    const { batch, config, hostile } = state();
    await expect(batch.deposit(config, TEN, hostile, "0x"))
      .to.be.revertedWithCustomError(batch, "DepositNotReceived")
      .withArgs(0n, TEN);
  });

  it("deposit_collectorBringsAnotherAmount_reverts", async () => {
    const { batch, config, hostile } = state();
    for (const brings of [TEN - 1n, TEN]) {
      await hostile.getFunction("arm")(brings, "0x");
      await expect(batch.deposit(config, brings + 1n, hostile, "0x")).to.be.revertedWithCustomError(
        batch,
        "DepositNotReceived",
      );
      await expect(batch.deposit(config, brings - 1n, hostile, "0x")).to.be.revertedWithCustomError(
        batch,
        "DepositNotReceived",
      );
    }
  });

  it("deposit_collectorThatIsNoContract_reverts", async () => {
    const stage = state();
    await expect(stage.batch.deposit(stage.config, TEN, stage.stranger, "0x")).to.be.revertedWithoutReason(
      stage.connection.ethers,
    );
  });

  it("deposit_collectorCallsBack_noFunctionThatChangesAnythingLetsItIn", async () => {
    const stage = state();
    const { batch, config, hostile } = stage;
    for (const [name, data] of await everyCall(stage)) {
      await hostile.getFunction("arm")(0n, data);
      await expect(batch.deposit(config, TEN, hostile, "0x"), name).to.be.revertedWithCustomError(
        batch,
        "DepositNotReceived",
      );
      await hostile.getFunction("arm")(1n, data);
      await batch.deposit(config, 1n, hostile, "0x");
      expect(await hostile.getFunction("reentered")(), name).to.equal(false);
      expect(await hostile.getFunction("refusal")(), name).to.equal(
        batch.interface.getError("ReentrancyGuardReentrantCall")!.selector,
      );
    }
  });

  it("multicall_ofDeposits_cannotCountOneTransferTwice", async () => {
    const { batch, config, hostile } = state();
    await hostile.getFunction("arm")(5n, "0x");
    const deposit = batch.interface.encodeFunctionData("deposit", [config, 5n, await hostile.getAddress(), "0x"]);
    await batch.multicall([deposit, deposit]);
    const { balance } = await batch.channels(await batch.getChannelId(config));
    expect(balance).to.equal(TEN + 10n);
  });

  it("anySequence_tokensHere_areWhatTheBooksSay", async () => {
    const stage = state();
    const { batch, opg, config, payer, receiver, connection } = stage;
    const channelId = await batch.getChannelId(config);
    const check = async () => {
      const { balance, totalClaimed } = await batch.channels(channelId);
      const account = await batch.receivers(receiver, opg);
      expect(await opg.balanceOf(batch)).to.equal(balance - totalClaimed + account.totalClaimed - account.totalSettled);
    };
    const steps: (() => Promise<unknown>)[] = [
      async () => batch.connect(receiver).claim([await claimOf(stage, config, 33n)]),
      () => batch.settle(receiver, opg),
      () => batch.connect(payer).initiateWithdraw(config, opgWei(3)),
      () => batch.connect(receiver).refund(config, opgWei(1)),
      async () => batch.connect(receiver).claim([await claimOf(stage, config, opgWei(8))]),
      () => connection.networkHelpers.time.increase(900),
      () => batch.connect(payer).finalizeWithdraw(config),
      () => fund(stage, config, opgWei(2), 9n),
      () => batch.connect(receiver).refund(config, opgWei(100)),
      () => batch.settle(receiver, opg),
    ];
    for (const step of steps) {
      await step();
      await check();
    }
    expect(await opg.balanceOf(batch)).to.equal(0n);
  });

  it("oldVoucher_afterARefundAndATopUp_claimsNoMoreThanItsCeiling", async () => {
    const stage = state();
    const { batch, config, receiver } = stage;
    const old = await claimOf(stage, config, 100n);
    await batch.connect(receiver).claim([old]);
    await batch.connect(receiver).refund(config, TEN);
    await fund(stage, config, TEN, 1n);
    await batch.connect(receiver).claim([old]);
    expect((await batch.channels(await batch.getChannelId(config))).totalClaimed).to.equal(100n);
    await expect(batch.connect(receiver).claim([{ ...old, totalClaimed: 101n }])).to.be.revertedWithCustomError(
      batch,
      "ClaimExceedsVoucher",
    );
  });

  it("code_onAPublicChain_doesNothing", async () => {
    const stage = state();
    const { network } = await import("hardhat");
    const elsewhere = await network.create({ override: { chainId: 8453 } });
    try {
      const code = await stage.connection.ethers.provider.getCode(x402Addresses.batchSettlement);
      await elsewhere.provider.request({ method: "hardhat_setCode", params: [x402Addresses.batchSettlement, code] });
      const there = await elsewhere.ethers.getContractAt("LocalBatchSettlement", x402Addresses.batchSettlement);
      await expect(there.settle(stage.receiver.address, stage.payer.address))
        .to.be.revertedWithCustomError(stage.batch, "NotLocalChain")
        .withArgs(8453);
      for (const name of [
        "LocalBatchSettlement",
        "LocalExactPermit2Proxy",
        "LocalUptoPermit2Proxy",
        "LocalErc3009Collector",
        "LocalPermit2Collector",
        "LocalMulticall3",
      ]) {
        await expect(elsewhere.ethers.deployContract(name), name)
          .to.be.revertedWithCustomError(stage.batch, "NotLocalChain")
          .withArgs(8453);
      }
    } finally {
      await elsewhere.close();
    }
  });
});

/** Calldata of every function that changes something, each such that it would pass were it not called from within another. */
async function everyCall(stage: LocalStage & { config: Awaited<ReturnType<typeof channelOf>> }) {
  const { batch, config, opg, receiver } = stage;
  const claims = [await claimOf(stage, config, 1n)];
  const call = (name: string, args: unknown[]) => [name, (batch.interface as Interface).encodeFunctionData(name, args)];
  const settle = call("settle", [receiver.address, await opg.getAddress()]);
  const calls = [
    call("deposit", [config, 1n, x402Addresses.erc3009Collector, await erc3009Data(stage, config, 1n, 77n)]),
    call("claim", [claims]),
    call("claimWithSignature", [claims, await signClaims(stage, claims)]),
    settle,
    call("refund", [config, 1n]),
    call("refundWithSignature", [config, 1n, 0n, await signRefund(stage, config, 1n, 0n)]),
    call("initiateWithdraw", [config, 1n]),
    call("finalizeWithdraw", [config]),
    call("multicall", [[settle[1]]]),
  ] as [string, string][];
  const changing = batch.interface.fragments.filter(
    (fragment) => fragment.type === "function" && !("constant" in fragment && fragment.constant),
  );
  expect(calls).to.have.length(changing.length);
  return calls;
}
