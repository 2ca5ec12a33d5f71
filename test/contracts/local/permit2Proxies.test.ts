import { expect } from "chai";
import { MaxUint256, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";
import { deployLocalStage, signApproval, signExact, signUpto } from "./localStage.ts";
import type { LocalStage, SignedPermit } from "./localStage.ts";
import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";

type Upto = SignedPermit<{ to: string; facilitator: string; validAfter: bigint }>;
type Exact = SignedPermit<{ to: string; validAfter: bigint }>;

const settleExact = ({ exact }: LocalStage, { permit, owner, witness, signature }: Exact) =>
  exact.settle(permit, owner, witness, signature);
const settleUpto = ({ upto }: LocalStage, amount: bigint, { permit, owner, witness, signature }: Upto) =>
  upto.settle(permit, amount, owner, witness, signature);

describe("LocalExactPermit2Proxy", () => {
  const state = freshState(deployLocalStage);

  it("settle_byAnybody_movesTheSignedAmount", async () => {
    const stage = state();
    const { exact, opg, payer, receiver, stranger } = stage;
    const { permit, owner, witness, signature } = await signExact(stage);
    const transaction = exact.connect(stranger).settle(permit, owner, witness, signature);
    await expect(transaction).to.emit(exact, "Settled");
    expect(await opg.balanceOf(receiver)).to.equal(opgWei(1));
    expect(await opg.balanceOf(payer)).to.equal(opgWei(999));
  });

  it("settleWithPermit_noAllowance_approvesFirst", async () => {
    const stage = state();
    const { exact, opg, payer, receiver } = stage;
    await opg.connect(payer).approve(x402Addresses.permit2, 0);
    const approval = await signApproval(stage, opgWei(1));
    const { permit, owner, witness, signature } = await signExact(stage);
    await expect(exact.settleWithPermit(approval, permit, owner, witness, signature)).to.emit(
      exact,
      "SettledWithPermit",
    );
    expect(await opg.balanceOf(receiver)).to.equal(opgWei(1));
  });

  it("settleWithPermit_approvalSubmittedByAnotherFirst_stillSettles", async () => {
    const stage = state();
    const { exact, opg, payer, receiver, stranger } = stage;
    await opg.connect(payer).approve(x402Addresses.permit2, 0);
    const approval = await signApproval(stage, opgWei(1));
    const { value, deadline, v, r, s } = approval;
    await opg.connect(stranger).permit(payer, x402Addresses.permit2, value, deadline, v, r, s);
    const { permit, owner, witness, signature } = await signExact(stage);
    await exact.settleWithPermit(approval, permit, owner, witness, signature);
    expect(await opg.balanceOf(receiver)).to.equal(opgWei(1));
  });

  it("settleWithPermit_approvalOfAnotherAmount_reverts", async () => {
    const stage = state();
    const { permit, owner, witness, signature } = await signExact(stage);
    const approval = await signApproval(stage, MaxUint256);
    await expect(
      stage.exact.settleWithPermit(approval, permit, owner, witness, signature),
    ).to.be.revertedWithCustomError(stage.exact, "Permit2612AmountMismatch");
  });

  it("settle_twice_reverts", async () => {
    const stage = state();
    const payment = await signExact(stage);
    await settleExact(stage, payment);
    await expect(settleExact(stage, payment)).to.be.revertedWithCustomError(stage.permit2, "InvalidNonce");
  });

  it("settle_toAnotherReceiver_reverts", async () => {
    const stage = state();
    const payment = await signExact(stage);
    const witness = { ...payment.witness, to: stage.stranger.address };
    await expect(settleExact(stage, { ...payment, witness })).to.be.revertedWithCustomError(
      stage.permit2,
      "InvalidSigner",
    );
  });

  it("settle_anotherAmount_reverts", async () => {
    const stage = state();
    const payment = await signExact(stage);
    const permitted = { ...payment.permit.permitted, amount: opgWei(2) };
    await expect(
      settleExact(stage, { ...payment, permit: { ...payment.permit, permitted } }),
    ).to.be.revertedWithCustomError(stage.permit2, "InvalidSigner");
  });

  it("settle_ofAnotherChain_reverts", async () => {
    const stage = state();
    const domain = { ...stage.permit2Domain, chainId: 8453 };
    await expect(settleExact(stage, await signExact(stage, { domain }))).to.be.revertedWithCustomError(
      stage.permit2,
      "InvalidSigner",
    );
  });

  it("settle_signedForTheOtherProxy_reverts", async () => {
    const stage = state();
    await expect(
      settleExact(stage, await signExact(stage, { spender: x402Addresses.uptoPermit2Proxy })),
    ).to.be.revertedWithCustomError(stage.permit2, "InvalidSigner");
  });

  it("settle_namesWhatIsWrong", async () => {
    const stage = state();
    const { exact, connection } = stage;
    const later = BigInt(await connection.networkHelpers.time.latest()) + 1_000n;
    const good = await signExact(stage);
    for (const [payment, name] of [
      [await signExact(stage, { amount: 0n }), "InvalidAmount"],
      [await signExact(stage, { to: ZeroAddress }), "InvalidDestination"],
      [{ ...good, owner: ZeroAddress }, "InvalidOwner"],
      [await signExact(stage, { validAfter: later }), "PaymentTooEarly"],
    ] as const) {
      await expect(settleExact(stage, payment), name).to.be.revertedWithCustomError(exact, name);
    }
    await connection.networkHelpers.time.setNextBlockTimestamp(later);
    await settleExact(stage, await signExact(stage, { validAfter: later }));
  });

  it("settle_withoutPermit2_saysSo", async () => {
    const stage = state();
    await stage.connection.provider.request({ method: "hardhat_setCode", params: [x402Addresses.permit2, "0x"] });
    await expect(settleExact(stage, await signExact(stage))).to.be.revertedWithCustomError(
      stage.exact,
      "InvalidPermit2Address",
    );
  });
});

describe("LocalUptoPermit2Proxy", () => {
  const state = freshState(deployLocalStage);

  it("settle_anyAmountUpToTheSigned_movesIt", async () => {
    const stage = state();
    let received = 0n;
    for (const [nonce, amount] of [1n, opgWei(0.5), opgWei(1)].entries()) {
      await expect(settleUpto(stage, amount, await signUpto(stage, { nonce: BigInt(nonce) }))).to.emit(
        stage.upto,
        "Settled",
      );
      received += amount;
    }
    expect(await stage.opg.balanceOf(stage.receiver)).to.equal(received);
  });

  it("settleWithPermit_noAllowance_approvesFirst", async () => {
    const stage = state();
    const { upto, opg, payer, receiver } = stage;
    await opg.connect(payer).approve(x402Addresses.permit2, 0);
    const approval = await signApproval(stage, opgWei(1));
    const { permit, owner, witness, signature } = await signUpto(stage);
    await expect(upto.settleWithPermit(approval, permit, 9n, owner, witness, signature)).to.emit(
      upto,
      "SettledWithPermit",
    );
    expect(await opg.balanceOf(receiver)).to.equal(9n);
  });

  it("settle_again_revertsWhateverTheFirstTook", async () => {
    const stage = state();
    for (const [nonce, amount] of [0n, 1n, opgWei(1)].entries()) {
      const payment = await signUpto(stage, { nonce: BigInt(nonce) });
      await settleUpto(stage, amount, payment);
      await expect(settleUpto(stage, 1n, payment)).to.be.revertedWithCustomError(stage.permit2, "InvalidNonce");
    }
  });

  it("settle_byAnotherThanTheFacilitator_reverts", async () => {
    const stage = state();
    const { permit, owner, witness, signature } = await signUpto(stage);
    for (const thief of [stage.stranger, stage.receiver, stage.payer]) {
      await expect(
        stage.upto.connect(thief).settle(permit, 1n, owner, witness, signature),
      ).to.be.revertedWithCustomError(stage.upto, "UnauthorizedFacilitator");
    }
  });

  it("settle_claimingToBeTheFacilitator_reverts", async () => {
    const stage = state();
    const { permit, owner, witness, signature } = await signUpto(stage);
    const forged = { ...witness, facilitator: stage.stranger.address };
    await expect(
      stage.upto.connect(stage.stranger).settle(permit, 1n, owner, forged, signature),
    ).to.be.revertedWithCustomError(stage.permit2, "InvalidSigner");
  });

  it("settle_namesWhatIsWrong", async () => {
    const stage = state();
    const later = BigInt(await stage.connection.networkHelpers.time.latest()) + 1_000n;
    const good = await signUpto(stage);
    for (const [payment, amount, name] of [
      [good, opgWei(1) + 1n, "AmountExceedsPermitted"],
      [await signUpto(stage, { to: ZeroAddress }), 1n, "InvalidDestination"],
      [{ ...good, owner: ZeroAddress }, 1n, "InvalidOwner"],
      [await signUpto(stage, { validAfter: later }), 1n, "PaymentTooEarly"],
    ] as const) {
      await expect(settleUpto(stage, amount, payment), name).to.be.revertedWithCustomError(stage.upto, name);
    }
  });

  it("settle_expired_reverts", async () => {
    const stage = state();
    const deadline = BigInt(await stage.connection.networkHelpers.time.latest());
    await stage.connection.networkHelpers.time.increase(10);
    await expect(settleUpto(stage, 1n, await signUpto(stage, { deadline })))
      .to.be.revertedWithCustomError(stage.permit2, "SignatureExpired")
      .withArgs(deadline);
  });
});
