import { expect } from "chai";

import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import { LocalMulticall3__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";
import { deployLocalStage } from "./localStage.ts";

describe("LocalMulticall3", () => {
  const state = freshState(async () => {
    const stage = await deployLocalStage();
    const multicall = LocalMulticall3__factory.connect(x402Addresses.multicall3, stage.stranger);
    const balance = stage.opg.interface.encodeFunctionData("balanceOf", [stage.payer.address]);
    const target = await stage.opg.getAddress();
    const good = { target, callData: balance };
    return { ...stage, multicall, good, bad: { target, callData: "0xffffffff" } };
  });

  it("tryAggregate_oneFails_theOthersAnswer", async () => {
    const { multicall, good, bad, opg } = state();
    const results = await multicall.tryAggregate.staticCall(false, [good, bad, good]);
    expect(results.map(({ success }) => success)).to.deep.equal([true, false, true]);
    expect(opg.interface.decodeFunctionResult("balanceOf", results[2]!.returnData)[0]).to.equal(opgWei(1_000));
  });

  it("tryAggregate_successRequired_revertsNamingTheCall", async () => {
    const { multicall, good, bad } = state();
    await expect(multicall.tryAggregate.staticCall(true, [good, bad]))
      .to.be.revertedWithCustomError(multicall, "CallFailed")
      .withArgs(1, "0x");
    await expect(multicall.aggregate.staticCall([bad])).to.be.revertedWithCustomError(multicall, "CallFailed");
  });

  it("aggregate3_eachCallSaysWhetherItMayFail", async () => {
    const { multicall, good, bad } = state();
    const results = await multicall.aggregate3.staticCall([
      { ...good, allowFailure: false },
      { ...bad, allowFailure: true },
    ]);
    expect(results.map(({ success }) => success)).to.deep.equal([true, false]);
    await expect(multicall.aggregate3.staticCall([{ ...bad, allowFailure: false }])).to.be.revertedWithCustomError(
      multicall,
      "CallFailed",
    );
  });

  it("aggregate3Value_passesOnWhatWasSent_noMoreAndNoLess", async () => {
    const { multicall, receiver, connection } = state();
    const calls = [1n, 2n].map((value) => ({ target: receiver.address, allowFailure: false, value, callData: "0x" }));
    const before = await connection.ethers.provider.getBalance(receiver);
    await multicall.aggregate3Value(calls, { value: 3n });
    expect((await connection.ethers.provider.getBalance(receiver)) - before).to.equal(3n);
    await expect(multicall.aggregate3Value(calls, { value: 4n }))
      .to.be.revertedWithCustomError(multicall, "ValueMismatch")
      .withArgs(4n, 3n);
  });

  it("blockAndAggregate_tellsTheBlock", async () => {
    const { multicall, good, connection } = state();
    const block = await connection.ethers.provider.getBlockNumber();
    const { blockNumber, returnData } = await multicall.blockAndAggregate.staticCall([good]);
    expect(Number(blockNumber)).to.be.within(block, block + 1);
    expect(returnData).to.have.length(1);
    expect(await multicall.getChainId()).to.equal(31_337n);
  });
});
