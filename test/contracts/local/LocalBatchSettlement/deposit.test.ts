import { expect } from "chai";
import { AbiCoder, ZeroAddress, id } from "ethers";

import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import { freshState } from "../../../support/freshState.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, deployLocalStage, erc3009Data, fund, permit2Data, signApproval } from "../localStage.ts";

const TEN = opgWei(10);
const { erc3009Collector, permit2Collector } = x402Addresses;

describe("LocalBatchSettlement.deposit", () => {
  const state = freshState(deployLocalStage);

  it("deposit_first_createsTheChannel", async () => {
    const stage = state();
    const { batch, opg, payer } = stage;
    const config = await channelOf(stage);
    const channelId = await batch.getChannelId(config);
    const data = await erc3009Data(stage, config, TEN);
    await expect(batch.deposit(config, TEN, erc3009Collector, data))
      .to.emit(batch, "ChannelCreated")
      .withArgs(channelId, Object.values(config))
      .and.to.emit(batch, "Deposited")
      .withArgs(channelId, payer, TEN, TEN);
    expect(await batch.channels(channelId)).to.deep.equal([TEN, 0n]);
    expect(await opg.balanceOf(batch)).to.equal(TEN);
    expect(await opg.balanceOf(erc3009Collector)).to.equal(0n);
  });

  it("deposit_again_addsToIt", async () => {
    const stage = state();
    const { batch } = stage;
    const config = await channelOf(stage);
    await fund(stage, config, TEN);
    const data = await permit2Data(stage, config, 5n);
    await expect(batch.deposit(config, 5n, permit2Collector, data)).not.to.emit(batch, "ChannelCreated");
    expect(await batch.channels(await batch.getChannelId(config))).to.deep.equal([TEN + 5n, 0n]);
  });

  it("deposit_byPermit2WithEip2612_approvesFirst", async () => {
    const stage = state();
    const { batch, opg, payer, stranger } = stage;
    await opg.connect(payer).approve(x402Addresses.permit2, 0);
    const config = await channelOf(stage);
    const { value, deadline, v, r, s } = await signApproval(stage, TEN);
    const approval = AbiCoder.defaultAbiCoder().encode(
      ["uint256", "uint256", "uint8", "bytes32", "bytes32"],
      [value, deadline, v, r, s],
    );
    const data = await permit2Data(stage, config, TEN, { approval });
    await opg.connect(stranger).permit(payer, x402Addresses.permit2, value, deadline, v, r, s);
    await batch.deposit(config, TEN, permit2Collector, data);
    expect(await opg.balanceOf(batch)).to.equal(TEN);
  });

  it("deposit_sameAuthorizationTwice_reverts", async () => {
    const stage = state();
    const { batch, opg, permit2 } = stage;
    const config = await channelOf(stage);
    const byErc3009 = await erc3009Data(stage, config, TEN);
    await batch.deposit(config, TEN, erc3009Collector, byErc3009);
    await expect(batch.deposit(config, TEN, erc3009Collector, byErc3009)).to.be.revertedWithCustomError(
      opg,
      "ERC3009UsedAuthorization",
    );
    const byPermit2 = await permit2Data(stage, config, TEN);
    await batch.deposit(config, TEN, permit2Collector, byPermit2);
    await expect(batch.deposit(config, TEN, permit2Collector, byPermit2)).to.be.revertedWithCustomError(
      permit2,
      "InvalidNonce",
    );
  });

  it("deposit_authorizationOfAnotherChannel_reverts", async () => {
    const stage = state();
    const { batch, opg, permit2, stranger } = stage;
    const config = await channelOf(stage);
    for (const theirs of [
      await channelOf(stage, { receiver: stranger.address }),
      await channelOf(stage, { receiverAuthorizer: stranger.address }),
      await channelOf(stage, { payerAuthorizer: stranger.address }),
      await channelOf(stage, { withdrawDelay: 901 }),
      await channelOf(stage, { salt: id("another") }),
    ]) {
      const byErc3009 = await erc3009Data(stage, config, TEN);
      await expect(batch.deposit(theirs, TEN, erc3009Collector, byErc3009)).to.be.revertedWithCustomError(
        opg,
        "ERC3009InvalidSignature",
      );
      const byPermit2 = await permit2Data(stage, config, TEN);
      await expect(batch.deposit(theirs, TEN, permit2Collector, byPermit2)).to.be.revertedWithCustomError(
        permit2,
        "InvalidSigner",
      );
    }
  });

  it("deposit_anotherAmountThanSigned_reverts", async () => {
    const stage = state();
    const config = await channelOf(stage);
    const data = await erc3009Data(stage, config, TEN);
    await expect(stage.batch.deposit(config, TEN + 1n, erc3009Collector, data)).to.be.revertedWithCustomError(
      stage.opg,
      "ERC3009InvalidSignature",
    );
  });

  for (const delay of [0, 899, 2_592_001]) {
    it(`deposit_withdrawDelayOf${delay}Seconds_reverts`, async () => {
      const stage = state();
      const config = await channelOf(stage, { withdrawDelay: delay });
      await expect(stage.batch.deposit(config, TEN, erc3009Collector, "0x"))
        .to.be.revertedWithCustomError(stage.batch, "WithdrawDelayOutOfRange")
        .withArgs(delay, 900, 2_592_000);
    });
  }

  it("deposit_longestDelay_isTaken", async () => {
    const stage = state();
    await fund(stage, await channelOf(stage, { withdrawDelay: 2_592_000 }), TEN);
  });

  for (const part of ["payer", "receiver", "receiverAuthorizer", "token"]) {
    it(`deposit_no${part[0]!.toUpperCase()}${part.slice(1)}_reverts`, async () => {
      const stage = state();
      const config = await channelOf(stage, { [part]: ZeroAddress });
      await expect(stage.batch.deposit(config, TEN, erc3009Collector, "0x")).to.be.revertedWithCustomError(
        stage.batch,
        "InvalidConfig",
      );
    });
  }

  it("deposit_ofNothing_reverts", async () => {
    const stage = state();
    const config = await channelOf(stage);
    const data = await erc3009Data(stage, config, 0n);
    await expect(stage.batch.deposit(config, 0n, erc3009Collector, data)).to.be.revertedWithCustomError(
      stage.batch,
      "ZeroAmount",
    );
  });

  it("collect_byAnyoneButTheSettlement_reverts", async () => {
    const stage = state();
    const { connection, payer, stranger, opg } = stage;
    const config = await channelOf(stage);
    const channelId = await stage.batch.getChannelId(config);
    for (const [name, address, data] of [
      ["LocalErc3009Collector", erc3009Collector, await erc3009Data(stage, config, TEN)],
      ["LocalPermit2Collector", permit2Collector, await permit2Data(stage, config, TEN)],
    ] as const) {
      const collector = await connection.ethers.getContractAt(name, address, stranger);
      await expect(collector.getFunction("collect")(payer, opg, TEN, channelId, data))
        .to.be.revertedWithCustomError(collector, "OnlyBatchSettlement")
        .withArgs(stranger);
    }
  });
});
