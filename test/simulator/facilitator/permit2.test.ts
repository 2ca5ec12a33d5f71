import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { declareEip2612GasSponsoringExtension, declareErc20ApprovalGasSponsoringExtension } from "@x402/extensions";
import { expect } from "chai";
import { parseEther, toBigInt, Wallet } from "ethers";
import { x402ExactPermit2ProxyAddress } from "@x402/evm";
import type { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { nonceBit, PERMIT2, permit2Interface } from "../../../simulator/facilitator/permit2.ts";
import { parsePayment } from "../../../simulator/facilitator/parsePayment.ts";
import { settlementCall } from "../../../simulator/facilitator/settlementCall.ts";
import { FacilitatorWorld, finished, jobUntil } from "./facilitatorWorld.ts";
import { approvePermit2, craftedPermit, permitRequirements, stockPermit, type PermitFields } from "./permits.ts";

const PRICE = parseEther("0.25");
const CAP = parseEther("1");
const PAYER = 1;
const SELLER = 5;

describe("payments by Permit2", () => {
  let world: FacilitatorWorld;
  let facilitator: Facilitator;
  let exact: PaymentRequirements;
  let upto: PaymentRequirements;

  before(async () => {
    world = await FacilitatorWorld.start([PAYER]);
    facilitator = await world.open();
    const seller = world.address(SELLER);
    exact = permitRequirements(world.chain, seller, PRICE);
    upto = permitRequirements(world.chain, seller, CAP, world.chain.account(9).address);
  });

  after(() => world.stop());

  const payer = (): Wallet => world.chain.account(PAYER);
  const received = (): Promise<bigint> => world.balanceOf(world.address(SELLER));
  const charging = (amount: bigint): PaymentRequirements => ({ ...upto, amount: amount.toString() });
  const crafted = (terms: PaymentRequirements, changes: Partial<PermitFields> = {}): Promise<PaymentPayload> =>
    craftedPermit(world.chain, payer(), terms, changes);

  /** What the seller has got by `work`, in wei. */
  async function gain(work: () => Promise<unknown>): Promise<bigint> {
    const before = await received();
    await work();
    return (await received()) - before;
  }

  async function invalidate(nonce: bigint): Promise<void> {
    const { word, mask } = nonceBit(`0x${nonce.toString(16).padStart(64, "0")}`);
    const data = permit2Interface.encodeFunctionData("invalidateUnorderedNonces", [word, mask]);
    await (await payer().sendTransaction({ to: PERMIT2, data })).wait();
  }

  describe("exact", () => {
    it("settle_stockPayment_movesTheMoneyOnce", async () => {
      const payload = await stockPermit(world.chain, payer(), exact);
      expect(await facilitator.verify(payload, exact)).to.include({ isValid: true, payer: payer().address });
      const gained = await gain(async () => {
        for (let count = 0; count < 2; count++) {
          expect(await facilitator.settle(payload, exact)).to.include({ success: true, amount: PRICE.toString() });
        }
      });
      expect(gained).to.equal(PRICE);
      expect(await facilitator.verify(payload, exact)).to.include({ invalidReason: "permit2_simulation_failed" });
    });

    it("settle_submittedByAStranger_countsAsSettled", async () => {
      const payload = await stockPermit(world.chain, payer(), exact);
      const sent = await world.chain.account(8).sendTransaction(settlementCall(parsePayment(payload, exact)));
      await sent.wait();
      const gained = await gain(async () => {
        const job = await finished(facilitator, await facilitator.enqueue(payload, exact));
        expect(job).to.deep.include({ status: "settled", transaction: { hash: sent.hash } });
      });
      expect(gained).to.equal(0n);
    });

    it("settle_wrappedWithOthersByAStranger_isFoundForEach", async () => {
      const { chain } = world;
      const payloads = [await stockPermit(chain, payer(), exact), await stockPermit(chain, payer(), exact)];
      const { MULTICALL3, multicallInterface } = await import("../../../simulator/facilitator/multicall.ts");
      const calls = payloads.map((payload) => {
        const { to, data } = settlementCall(parsePayment(payload, exact));
        return { target: to, allowFailure: false, callData: data };
      });
      const data = multicallInterface.encodeFunctionData("aggregate3", [calls]);
      const sent = await chain.account(8).sendTransaction({ to: MULTICALL3, data });
      await sent.wait();
      for (const payload of payloads) {
        const job = await finished(facilitator, await facilitator.enqueue(payload, exact));
        expect(job).to.deep.include({ status: "settled", transaction: { hash: sent.hash } });
      }
    });

    it("enqueue_nonceInvalidatedByThePayer_diesAsDefault", async () => {
      const nonce = toBigInt(`0x${"12".repeat(32)}`);
      const payload = await crafted(exact, { nonce });
      await invalidate(nonce);
      const before = await facilitator.defaultedWei(world.address(PAYER));
      const job = await finished(facilitator, await facilitator.enqueue(payload, exact));
      expect(job).to.include({ status: "dead", reason: "nonce_invalidated" });
      expect((await facilitator.defaultedWei(world.address(PAYER))) - before).to.equal(PRICE);
    });

    it("enqueue_nonceSpentOnAnotherSeller_diesAsDefault", async () => {
      const nonce = toBigInt(`0x${"34".repeat(32)}`);
      const elsewhere = permitRequirements(world.chain, world.address(6), PRICE);
      const theirs = await crafted(elsewhere, { nonce });
      expect(await (await world.open({ account: 8 })).settle(theirs, elsewhere)).to.include({ success: true });
      const job = await finished(facilitator, await facilitator.enqueue(await crafted(exact, { nonce }), exact));
      expect(job).to.include({ status: "dead", reason: "nonce_spent_elsewhere" });
    });
  });

  describe("upto", () => {
    it("settle_lessThanSigned_movesThatMuchOnce", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      expect(await facilitator.verify(payload, upto)).to.include({ isValid: true });
      const gained = await gain(async () => {
        expect(await facilitator.settle(payload, charging(7n))).to.include({ success: true, amount: "7" });
        expect(await facilitator.settle(payload, charging(7n))).to.include({ success: true, amount: "7" });
        expect(await facilitator.settle(payload, charging(8n))).to.include({ errorReason: "payment_conflict" });
      });
      expect(gained).to.equal(7n);
    });

    it("settle_moreThanSigned_isRefused", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      const gained = await gain(async () => {
        expect(await facilitator.settle(payload, charging(CAP + 1n))).to.include({
          success: false,
          errorReason: "invalid_upto_evm_payload_settlement_exceeds_amount",
        });
        const error: unknown = await facilitator
          .enqueue(payload, upto, { amountWei: CAP + 1n })
          .catch((e: unknown) => e);
        expect(error).to.have.property("code", "amount_not_authorized");
      });
      expect(gained).to.equal(0n);
    });

    it("verifySettlement_lessThanSigned_isGoodAndMoreIsNot", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      expect(await facilitator.verifySettlement(payload, charging(7n))).to.include({ isValid: true });
      expect(await facilitator.verifySettlement(payload, charging(CAP + 1n))).to.include({
        isValid: false,
        invalidReason: "invalid_upto_evm_payload_settlement_exceeds_amount",
      });
      expect(await facilitator.verify(payload, charging(7n))).to.include({ invalidReason: "permit2_amount_mismatch" });
    });

    it("enqueue_whatTheAnswersCost_chargesThatAndClosesTheSession", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      const gained = await gain(async () => {
        const job = await facilitator.enqueue(payload, upto, { amountWei: 11n });
        expect(await facilitator.verify(payload, upto)).to.include({ isValid: false });
        expect(await finished(facilitator, job)).to.include({ status: "settled", amountWei: 11n });
      });
      expect(gained).to.equal(11n);
      expect((await facilitator.verify(payload, upto)).isValid).to.equal(false);
    });

    for (const [name, settle] of [
      ["settle", (payload: PaymentPayload) => facilitator.settle(payload, charging(0n))],
      ["enqueue", (payload: PaymentPayload) => facilitator.enqueue(payload, upto, { amountWei: 0n })],
    ] as const) {
      it(`${name}_nothing_sendsNothingAndUsesThePermitUp`, async () => {
        const payload = await stockPermit(world.chain, payer(), upto);
        const sent = await world.chain.provider.getTransactionCount(world.address(9));
        const result = await settle(payload);
        if ("success" in result) expect(result).to.include({ success: true, transaction: "", amount: "0" });
        else expect(result).to.include({ status: "settled", amountWei: 0n });
        expect(await facilitator.verify(payload, upto)).to.include({
          isValid: false,
          invalidReason: "permit2_invalid_nonce",
        });
        for (const amount of [1n, CAP]) {
          expect(await facilitator.settle(payload, charging(amount))).to.include({ success: false });
        }
        expect(await world.chain.provider.getTransactionCount(world.address(9))).to.equal(sent);
      });
    }

    it("settle_refusingRepetitions_answersOneCallOfMany", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      const options = { repeated: "refuse" } as const;
      const gained = await gain(async () => {
        const results = await Promise.all([1, 2, 3].map(() => facilitator.settle(payload, charging(5n), options)));
        results.push(await facilitator.settle(payload, charging(5n), options));
        expect(results.map(({ success }) => success).sort()).to.deep.equal([false, false, false, true]);
      });
      expect(gained).to.equal(5n);
    });

    it("enqueue_nonceInvalidatedByThePayer_dies", async () => {
      const nonce = toBigInt(`0x${"56".repeat(32)}`);
      const payload = await crafted(upto, { nonce });
      await invalidate(nonce);
      const job = await finished(facilitator, await facilitator.enqueue(payload, upto, { amountWei: 3n }));
      expect(job).to.include({ status: "dead", reason: "nonce_invalidated" });
    });

    it("enqueue_minedAndForgottenByACrash_isFoundByItsTransfer", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      // as a run of this facilitator's account would have sent it
      const other = await world.open({ account: 7 });
      const terms = permitRequirements(world.chain, world.address(SELLER), CAP, world.chain.account(7).address);
      const theirs = await stockPermit(world.chain, payer(), terms);
      const sent = await world.chain.account(7).sendTransaction(settlementCall(parsePayment(theirs, terms, 9n)));
      await sent.wait();
      const job = await finished(other, await other.enqueue(theirs, terms, { amountWei: 9n }));
      expect(job).to.deep.include({ status: "settled", transaction: { hash: sent.hash } });
      expect(payload).to.not.equal(theirs);
    });
  });

  describe("what is refused", () => {
    const now = BigInt(Math.floor(Date.now() / 1000));
    const stranger = "0x00000000000000000000000000000000000000aa";
    type Case = [name: string, changes: Partial<PermitFields>, exactReason: string | undefined, uptoReason: string];
    const cases: Case[] = [
      ["underpayment", { amount: PRICE - 1n }, "permit2_amount_mismatch", "permit2_amount_mismatch"],
      ["otherToken", { token: stranger }, "invalid_payload", "invalid_payload"],
      ["otherRecipient", { to: stranger }, "invalid_permit2_recipient_mismatch", "invalid_permit2_recipient_mismatch"],
      ["otherSpender", { spender: stranger }, "invalid_permit2_spender", "invalid_permit2_spender"],
      ["otherFacilitator", { facilitator: stranger }, undefined, "upto_facilitator_mismatch"],
      ["expired", { deadline: now - 1n }, "permit2_deadline_expired", "permit2_deadline_expired"],
      ["notYetValid", { validAfter: now + 900n }, "permit2_not_yet_valid", "permit2_not_yet_valid"],
      ["signedForAnotherChain", { chainId: 8453n }, "invalid_permit2_signature", "invalid_permit2_signature"],
      [
        "signedForAnotherPermit2",
        { verifyingContract: stranger },
        "invalid_permit2_signature",
        "invalid_permit2_signature",
      ],
    ];
    for (const [name, changes, exactReason, uptoReason] of cases) {
      it(`verifyAndSettle_${name}_isRefused`, async () => {
        const gained = await gain(async () => {
          for (const [terms, reason] of [
            [exact, exactReason],
            [upto, uptoReason],
          ] as const) {
            if (reason === undefined) continue;
            const payload = await crafted(terms, changes);
            expect(await facilitator.verify(payload, terms)).to.include({ isValid: false, invalidReason: reason });
            expect((await facilitator.settle(payload, terms)).success).to.equal(false);
          }
        });
        expect(gained).to.equal(0n);
      });
    }

    it("verify_permitForTheOtherScheme_isRefused", async () => {
      const asExact = { ...(await crafted(upto)), accepted: exact };
      expect((await facilitator.verify(asExact, exact)).isValid).to.equal(false);
      const asUpto = { ...(await crafted(exact)), accepted: upto };
      expect((await facilitator.verify(asUpto, upto)).isValid).to.equal(false);
    });

    it("settle_otherChain_isRefused", async () => {
      const elsewhere: PaymentRequirements = { ...exact, network: "eip155:8453" };
      const payload = { ...(await crafted(exact)), accepted: elsewhere };
      expect(await facilitator.settle(payload, elsewhere)).to.include({
        success: false,
        errorReason: "unsupported_network",
      });
    });
  });

  describe("payers who run", () => {
    it("enqueue_balanceGone_isOwedUntilItExpiresAndThenADefault", async () => {
      const runner = world.chain.account(3);
      const own = await world.open({ account: 6, settler: { expiryMarginMs: 0 } });
      await (await world.chain.opg.transfer(runner.address, CAP)).wait();
      await approvePermit2(world.chain, runner);
      const terms = permitRequirements(world.chain, world.address(SELLER), CAP, world.chain.account(6).address);
      const deadline = BigInt(Math.floor(Date.now() / 1000)) + 8n;
      const payload = await craftedPermit(world.chain, runner, terms, { deadline });
      expect(await own.verify(payload, terms)).to.include({ isValid: true });
      await (await world.chain.opg.connect(runner).transfer(world.address(4), CAP)).wait();
      const job = await own.enqueue(payload, terms, { amountWei: 3n });
      await jobUntil(own, job.key, ({ attempts }) => attempts >= 2);
      expect(await own.outstandingWei(world.address(3))).to.equal(3n);
      await world.chain.provider.send("evm_increaseTime", [10]);
      await world.chain.provider.send("hardhat_mine", ["0x1"]);
      expect(await finished(own, job)).to.include({ status: "dead", reason: "authorization_expired" });
      expect(await own.defaultedWei(world.address(3))).to.equal(3n);
      const letters = await own.deadLetters();
      expect(letters.map(({ key }) => key)).to.deep.equal([job.key]);
      expect(await own.reopen(job.key)).to.equal(true);
      expect(await finished(own, job)).to.include({ status: "dead", reason: "authorization_expired" });
    });

    it("enqueue_allowanceGoneAndBack_isChargedThen", async () => {
      const payload = await stockPermit(world.chain, payer(), upto);
      await approvePermit2(world.chain, payer(), 0n);
      expect(await facilitator.verify(payload, upto)).to.include({ invalidReason: "permit2_allowance_required" });
      const job = await facilitator.enqueue(payload, upto, { amountWei: 4n });
      await jobUntil(facilitator, job.key, ({ attempts }) => attempts >= 2);
      await approvePermit2(world.chain, payer());
      expect((await finished(facilitator, job)).status).to.equal("settled");
    });
  });

  describe("sponsored approvals", () => {
    const sponsored = async (extension: Record<string, unknown>, ether: bigint): Promise<void> => {
      const poor = new Wallet(Wallet.createRandom().privateKey, world.chain.provider);
      await (await world.chain.opg.transfer(poor.address, CAP)).wait();
      await world.chain.provider.send("hardhat_setBalance", [poor.address, `0x${ether.toString(16)}`]);
      const payload = await stockPermit(world.chain, poor, exact, extension);
      expect(payload.extensions).to.have.all.keys(Object.keys(extension));
      expect(await facilitator.verify(payload, exact)).to.include({ isValid: true });
      const gained = await gain(async () => {
        expect(await facilitator.settle(payload, exact)).to.include({ success: true });
      });
      expect(gained).to.equal(PRICE);
    };

    it("settle_permitInsteadOfAllowance_needsNoEther", () => sponsored(declareEip2612GasSponsoringExtension(), 0n));
    it("settle_signedApproval_isPaidFor", () => sponsored(declareErc20ApprovalGasSponsoringExtension(), 0n));
  });

  it("settlementCall_everyKind_isWhatThePackagesSend", async () => {
    const { stockCalldata } = await import("./stockCalldata.ts");
    for (const terms of [exact, upto]) {
      const payload = await stockPermit(world.chain, payer(), terms);
      expect(settlementCall(parsePayment(payload, terms))).to.deep.equal(
        await stockCalldata(world.chain, world.chain.account(9).address, payload, terms),
      );
    }
    expect(settlementCall(parsePayment(await stockPermit(world.chain, payer(), exact), exact)).to).to.equal(
      x402ExactPermit2ProxyAddress,
    );
  });
});
