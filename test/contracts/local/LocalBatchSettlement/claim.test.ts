import { expect } from "chai";
import { Signature, ZeroAddress, id } from "ethers";

import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import { freshState } from "../../../support/freshState.ts";
import { malleableTwin } from "../../../support/authorizations.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, claimOf, deployLocalStage, fund, permit2Data, signClaims } from "../localStage.ts";
import type { ChannelConfig, LocalStage } from "../localStage.ts";

const TEN = opgWei(10);

describe("LocalBatchSettlement.claim", () => {
  const state = freshState(async () => {
    const stage = await deployLocalStage();
    const config = await channelOf(stage);
    await fund(stage, config, TEN);
    return { ...stage, config, channelId: await stage.batch.getChannelId(config) };
  });

  const byReceiver = ({ batch, receiver }: LocalStage) => batch.connect(receiver);

  it("claim_byReceiverOrItsAuthorizer_countsWhatWasUsed", async () => {
    const stage = state();
    const { batch, config, channelId, receiver, authorizer, opg } = stage;
    const first = await claimOf(stage, config, 100n, { totalClaimed: 60n });
    await expect(byReceiver(stage).claim([first]))
      .to.emit(batch, "Claimed")
      .withArgs(channelId, receiver, 60n, 60n);
    const second = await claimOf(stage, config, 150n);
    await expect(batch.connect(authorizer).claim([second]))
      .to.emit(batch, "Claimed")
      .withArgs(channelId, receiver, 90n, 150n);
    expect(await batch.channels(channelId)).to.deep.equal([TEN, 150n]);
    expect(await batch.receivers(receiver, opg)).to.deep.equal([150n, 0n]);
    expect(await opg.balanceOf(receiver)).to.equal(0n);
  });

  it("claim_byAnyoneElse_reverts", async () => {
    const stage = state();
    const { batch, config, payer, stranger } = stage;
    const claim = await claimOf(stage, config, 100n);
    for (const thief of [payer, stranger]) {
      await expect(batch.connect(thief).claim([claim]))
        .to.be.revertedWithCustomError(batch, "Unauthorized")
        .withArgs(thief);
    }
  });

  it("claimWithSignature_byAnybody_countsManyChannelsAtOnce", async () => {
    const stage = state();
    const { batch, config, receiver, opg, stranger } = stage;
    const other = await channelOf(stage, { salt: id("other") });
    await fund(stage, other, TEN, 1n);
    const claims = [await claimOf(stage, config, 100n), await claimOf(stage, other, 7n)];
    await batch.connect(stranger).claimWithSignature(claims, await signClaims(stage, claims));
    expect(await batch.receivers(receiver, opg)).to.deep.equal([107n, 0n]);
  });

  it("claimWithSignature_again_changesNothing", async () => {
    const stage = state();
    const { batch, config, channelId } = stage;
    const claims = [await claimOf(stage, config, 100n)];
    const signature = await signClaims(stage, claims);
    await batch.claimWithSignature(claims, signature);
    await expect(batch.claimWithSignature(claims, signature)).not.to.emit(batch, "Claimed");
    expect(await batch.channels(channelId)).to.deep.equal([TEN, 100n]);
  });

  it("claim_sameVoucherTwiceInABatch_countsOnce", async () => {
    const stage = state();
    const { batch, config, receiver, opg } = stage;
    const claim = await claimOf(stage, config, 100n);
    await byReceiver(stage).claim([claim, claim]);
    expect(await batch.receivers(receiver, opg)).to.deep.equal([100n, 0n]);
  });

  it("claim_olderVoucher_doesNotRollBack", async () => {
    const stage = state();
    const { batch, config, channelId } = stage;
    await byReceiver(stage).claim([await claimOf(stage, config, 100n)]);
    await byReceiver(stage).claim([await claimOf(stage, config, 40n)]);
    expect(await batch.channels(channelId)).to.deep.equal([TEN, 100n]);
  });

  it("claim_aboveTheVoucher_reverts", async () => {
    const stage = state();
    const claim = await claimOf(stage, stage.config, 100n, { totalClaimed: 101n });
    await expect(byReceiver(stage).claim([claim]))
      .to.be.revertedWithCustomError(stage.batch, "ClaimExceedsVoucher")
      .withArgs(101n, 100n);
  });

  it("claim_aboveTheBalance_reverts", async () => {
    const stage = state();
    await expect(byReceiver(stage).claim([await claimOf(stage, stage.config, TEN + 1n)]))
      .to.be.revertedWithCustomError(stage.batch, "ClaimExceedsBalance")
      .withArgs(TEN + 1n, TEN);
    await byReceiver(stage).claim([await claimOf(stage, stage.config, TEN + 1n, { totalClaimed: TEN })]);
  });

  it("claim_ofAChannelThatIsNot_reverts", async () => {
    const stage = state();
    const config = await channelOf(stage, { salt: id("never funded") });
    await expect(byReceiver(stage).claim([await claimOf(stage, config, 1n)])).to.be.revertedWithCustomError(
      stage.batch,
      "ClaimExceedsBalance",
    );
  });

  it("claim_voucherSignedOtherwise_reverts", async () => {
    const stage = state();
    const { batch, config, stranger, batchDomain } = stage;
    const good = await claimOf(stage, config, 100n);
    const raised = { ...good, voucher: { ...good.voucher, maxClaimableAmount: 200n }, totalClaimed: 200n };
    const bad = [
      await claimOf(stage, config, 100n, { signer: stranger }),
      await claimOf(stage, config, 100n, { domain: { ...batchDomain, chainId: 8453 } }),
      await claimOf(stage, config, 100n, { domain: { ...batchDomain, verifyingContract: stranger.address } }),
      raised,
      { ...good, signature: "0x" },
      { ...good, signature: good.signature.slice(0, -2) },
      { ...good, signature: Signature.from(good.signature).compactSerialized },
    ];
    for (const claim of bad) {
      await expect(byReceiver(stage).claim([claim])).to.be.revertedWithCustomError(batch, "InvalidSignature");
    }
  });

  it("claim_malleableTwinOfAVoucher_reverts", async () => {
    const stage = state();
    const claim = await claimOf(stage, stage.config, 100n);
    const { r, s, v } = malleableTwin(Signature.from(claim.signature));
    const twin = `${r}${s.slice(2)}${v.toString(16)}`;
    await expect(byReceiver(stage).claim([{ ...claim, signature: twin }])).to.be.revertedWithCustomError(
      stage.batch,
      "InvalidSignature",
    );
  });

  it("claim_voucherOfAnotherChannel_reverts", async () => {
    const stage = state();
    const other = await channelOf(stage, { salt: id("other") });
    await fund(stage, other, TEN, 1n);
    const { signature } = await claimOf(stage, stage.config, 100n);
    const claim = { ...(await claimOf(stage, other, 100n)), signature };
    await expect(byReceiver(stage).claim([claim])).to.be.revertedWithCustomError(stage.batch, "InvalidSignature");
  });

  it("claimWithSignature_signedOtherwise_reverts", async () => {
    const stage = state();
    const { batch, config, stranger, receiver } = stage;
    const claims = [await claimOf(stage, config, 100n, { totalClaimed: 50n })];
    const more = [{ ...claims[0]!, totalClaimed: 100n }];
    for (const signature of [
      await signClaims(stage, claims, stranger),
      await signClaims(stage, claims, receiver),
      await signClaims(stage, more),
      await signClaims(stage, [...claims, ...claims]),
    ]) {
      await expect(batch.claimWithSignature(claims, signature)).to.be.revertedWithCustomError(
        batch,
        "InvalidSignature",
      );
    }
  });

  it("claimWithSignature_channelsOfTwoAuthorizers_reverts", async () => {
    const stage = state();
    const { batch, config, stranger, authorizer } = stage;
    const foreign = await channelOf(stage, { receiverAuthorizer: stranger.address });
    await fund(stage, foreign, TEN, 1n);
    const claims = [await claimOf(stage, config, 100n), await claimOf(stage, foreign, 100n)];
    await expect(batch.claimWithSignature(claims, await signClaims(stage, claims)))
      .to.be.revertedWithCustomError(batch, "MixedAuthorizers")
      .withArgs(authorizer, stranger);
  });

  it("claim_nothing_reverts", async () => {
    const { batch } = state();
    await expect(batch.claim([])).to.be.revertedWithCustomError(batch, "NoClaims");
    await expect(batch.claimWithSignature([], "0x")).to.be.revertedWithCustomError(batch, "NoClaims");
  });

  it("claim_payerAuthorizerIsAnotherKey_onlyThatKeySignsVouchers", async () => {
    const stage = state();
    const { batch, stranger } = stage;
    const config: ChannelConfig = await channelOf(stage, { payerAuthorizer: stranger.address });
    await fund(stage, config, TEN, 1n);
    await expect(byReceiver(stage).claim([await claimOf(stage, config, 1n)])).to.be.revertedWithCustomError(
      batch,
      "InvalidSignature",
    );
    await byReceiver(stage).claim([await claimOf(stage, config, 1n, { signer: stranger })]);
  });

  it("claim_noPayerAuthorizer_thePayerSigns", async () => {
    const stage = state();
    const config = await channelOf(stage, { payerAuthorizer: ZeroAddress });
    await fund(stage, config, TEN, 1n);
    await byReceiver(stage).claim([await claimOf(stage, config, 1n)]);
    await expect(
      byReceiver(stage).claim([await claimOf(stage, config, 2n, { signer: stage.stranger })]),
    ).to.be.revertedWithCustomError(stage.batch, "InvalidSignature");
  });

  it("claimWithSignature_authorizerIsAContract_asksIt", async () => {
    const stage = state();
    const { batch, connection, authorizer, stranger } = stage;
    const wallet = await connection.ethers.deployContract("SignatureWallet", [authorizer]);
    const config = await channelOf(stage, { receiverAuthorizer: await wallet.getAddress() });
    await fund(stage, config, TEN, 1n);
    const claims = [await claimOf(stage, config, 3n)];
    await expect(
      batch.claimWithSignature(claims, await signClaims(stage, claims, stranger)),
    ).to.be.revertedWithCustomError(batch, "InvalidSignature");
    await batch.claimWithSignature(claims, await signClaims(stage, claims, authorizer));
  });

  it("claim_payerIsAContract_itSignsDepositsAndVouchers", async () => {
    const stage = state();
    const { batch, connection, opg, payer, stranger } = stage;
    const wallet = await connection.ethers.deployContract("SignatureWallet", [payer], payer);
    const approve = opg.interface.encodeFunctionData("approve", [x402Addresses.permit2, TEN]);
    await opg.transfer(wallet, TEN);
    await wallet.getFunction("execute")(opg, approve);
    const config = await channelOf(stage, { payer: await wallet.getAddress(), payerAuthorizer: ZeroAddress });
    const data = await permit2Data(stage, config, TEN);
    await batch.deposit(config, TEN, x402Addresses.permit2Collector, data);
    await expect(
      byReceiver(stage).claim([await claimOf(stage, config, 5n, { signer: stranger })]),
    ).to.be.revertedWithCustomError(batch, "InvalidSignature");
    await byReceiver(stage).claim([await claimOf(stage, config, 5n)]);
    expect(await batch.channels(await batch.getChannelId(config))).to.deep.equal([TEN, 5n]);
  });
});
