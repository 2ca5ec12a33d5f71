import { expect } from "chai";

import { ChannelHasher } from "../../../../simulator/gateway/channels/channelConfig.ts";
import { REASONS } from "../../../../simulator/gateway/channels/channelReasons.ts";
import type { Hex } from "../../../../simulator/receipts/types.ts";
import { CAP, chatBody, FEE, LaneFixture, outcomeOf, type WirePayment } from "./laneFixture.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** @param remote whether the node is in another process. */
const holds = (remote: boolean) => (): void => {
  const fixture = new LaneFixture();
  fixture.remote = remote;
  before(() => fixture.start());
  after(() => fixture.stop());

  const changed = (payment: WirePayment, change: (payment: WirePayment) => void): WirePayment => {
    const copy = structuredClone(payment);
    change(copy);
    return copy;
  };
  /** With another signature, of the good one's parts. */
  const resigned = (payment: WirePayment, change: (r: string, s: string, v: string) => string): WirePayment =>
    changed(payment, ({ payload: { voucher } }) => {
      const { signature } = voucher;
      voucher.signature = change(signature.slice(2, 66), signature.slice(66, 130), signature.slice(130));
    });
  const refusal = async (payment: object, body?: string): Promise<string> =>
    outcomeOf(await fixture.post(payment, body));

  it("copiesAtOnce_buyOneAnswer", async () => {
    const payer = fixture.payer();
    const before = fixture.upstream.requests;
    const copies = await Promise.all(Array.from({ length: 12 }, () => fixture.post(payer.pay())));
    const texts = await Promise.all(copies.map((response) => response.text()));
    expect(new Set(texts).size).to.equal(1);
    expect(new Set(copies.map(({ status }) => status))).to.deep.equal(new Set([200]));
    expect(fixture.upstream.requests).to.equal(before + 1);
    expect(payer.chargedWei).to.equal(FEE);
  });

  it("copiesAtOnceForOtherRequests_buyOneAnswer", async () => {
    const payer = fixture.payer();
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => outcomeOf(await fixture.post(payer.pay(), chatBody(`${i}`)))),
    );
    expect(outcomes.filter((outcome) => outcome === `charged ${FEE}`)).to.have.length(1);
    expect(new Set(outcomes.filter((outcome) => !outcome.startsWith("charged")))).to.have.length.within(1, 2);
    for (const outcome of outcomes) expect(outcome).to.be.oneOf([`charged ${FEE}`, REASONS.busy, REASONS.cumulative]);
    expect(payer.chargedWei).to.equal(FEE);
  });

  it("signatures_thatTheContractWouldNotTake_areRefused", async () => {
    const payer = fixture.payer();
    const payment = payer.pay();
    const flipped = (v: string): string => (v === "1b" ? "1c" : "1b");
    const forged: Record<string, WirePayment> = {
      "another v": resigned(payment, (r, s, v) => `0x${r}${s}${flipped(v)}`),
      "v of 0 or 1": resigned(payment, (r, s, v) => `0x${r}${s}${v === "1b" ? "00" : "01"}`),
      "high s": resigned(payment, (r, s, v) => {
        const high = (ORDER - BigInt(`0x${s}`)).toString(16).padStart(64, "0");
        return `0x${r}${high}${flipped(v)}`;
      }),
      tampered: resigned(payment, (r, s, v) => `0x1234${r.slice(4)}${s}${v}`),
      compact: resigned(payment, (r, s) => `0x${r}${s}`),
      zeros: resigned(payment, () => `0x${"00".repeat(64)}1b`),
      empty: resigned(payment, () => "0x"),
      "of another channel": changed(payment, ({ payload }) => {
        payload.voucher.signature = fixture.payer().pay().payload.voucher.signature;
      }),
    };
    for (const [name, forgery] of Object.entries(forged))
      expect(await refusal(forgery), name).to.equal(REASONS.signature);
    expect(payer.chargedWei).to.equal(0n);
    expect(await refusal(payment)).to.equal(`charged ${FEE}`);
  });

  it("vouchersForOtherChainsOrContracts_areRefused", async () => {
    const payer = fixture.payer();
    expect(await refusal(payer.pay(CAP, new ChannelHasher(8453n)))).to.equal(REASONS.signature);
    const elsewhere = changed(payer.pay(), ({ accepted }) => (accepted.network = "eip155:8453"));
    expect(await refusal(elsewhere)).to.equal(REASONS.terms);
    const otherId = new ChannelHasher(8453n).channelId(payer.config);
    expect(await refusal(changed(payer.pay(), ({ payload }) => (payload.voucher.channelId = otherId)))).to.equal(
      REASONS.channelId,
    );
  });

  it("rolledBackVoucher_buysNothing", async () => {
    const payer = fixture.payer();
    await fixture.post(payer.pay());
    await fixture.post(payer.pay(FEE + CAP), chatBody("second"));
    expect(await refusal(payer.pay(), chatBody("third"))).to.equal(REASONS.cumulative);
    expect(await refusal(payer.pay(FEE + CAP), chatBody("third"))).to.equal(REASONS.cumulative);
    expect(payer.chargedWei).to.equal(2n * FEE);
  });

  it("storedAnswers_areNotForThoseWhoCannotSign", async () => {
    const payer = fixture.payer();
    await fixture.post(payer.pay());
    const stranger = resigned(payer.pay(), () => fixture.payer().pay().payload.voucher.signature);
    expect(await refusal(stranger)).to.equal(REASONS.cumulative);
  });

  it("amountsOtherThanTheNext_areRefused", async () => {
    const payer = fixture.payer();
    for (const amount of [0n, 1n, CAP - 1n, CAP + 1n, 2n * CAP, (1n << 128n) - 1n]) {
      expect(await refusal(payer.pay(amount)), `${amount}`).to.equal(REASONS.cumulative);
    }
    for (const amount of ["", "-1", "01", "1e3", " 1000", `${1n << 128n}`, "9".repeat(60)]) {
      const payment = changed(payer.pay(), ({ payload }) => (payload.voucher.maxClaimableAmount = amount));
      expect(await refusal(payment), amount).to.equal(REASONS.payload);
    }
  });

  it("otherConfigurations_areRefused", async () => {
    const payer = fixture.payer();
    await fixture.post(payer.pay());
    const other: Hex = `0x${"99".repeat(20)}`;
    const expected = {
      payer: [other, REASONS.channelId],
      payerAuthorizer: [other, REASONS.channelId],
      receiver: [other, REASONS.receiver],
      receiverAuthorizer: [other, REASONS.authorizer],
      token: [other, REASONS.token],
      withdrawDelay: [901, REASONS.delay],
      salt: [`0x${"00".repeat(32)}`, REASONS.channelId],
    } as const;
    for (const [name, [value, reason]] of Object.entries(expected)) {
      for (const known of [true, false]) {
        const payment = (known ? payer : fixture.payer()).pay(known ? FEE + CAP : CAP);
        const forged = changed(payment, ({ payload }) => Object.assign(payload.channelConfig, { [name]: value }));
        expect(await refusal(forged, chatBody(name)), `${name}, ${known ? "known" : "new"}`).to.equal(reason);
      }
    }
  });

  it("otherTerms_areRefused", async () => {
    const payer = fixture.payer();
    const changes: ((accepted: WirePayment["accepted"]) => void)[] = [
      (accepted) => (accepted.amount = "1"),
      (accepted) => (accepted.amount = `${1n << 97n}`),
      (accepted) => (accepted.asset = `0x${"99".repeat(20)}`),
      (accepted) => (accepted.payTo = `0x${"99".repeat(20)}`),
      (accepted) => (accepted.maxTimeoutSeconds = 1),
      (accepted) => (accepted.extra = {}),
      (accepted) => (accepted.extra = { ...accepted.extra, withdrawDelay: 1 }),
      (accepted) => (accepted.extra = { ...accepted.extra, receiverAuthorizer: `0x${"99".repeat(20)}` }),
      (accepted) => (accepted.extra = { ...accepted.extra, name: "Other" }),
      (accepted) => (accepted.extra = { ...accepted.extra, assetTransferMethod: "permit2" }),
    ];
    for (const [i, change] of changes.entries()) {
      expect(await refusal(changed(payer.pay(), ({ accepted }) => change(accepted))), `${i}`).to.equal(REASONS.terms);
    }
    expect(payer.chargedWei).to.equal(undefined);
  });

  it("malformedPayments_areRefused", async () => {
    const payment = fixture.payer().pay();
    const malformed: ((payment: WirePayment) => void)[] = [
      (each) => (each.x402Version = 1),
      (each) => Object.assign(each.payload, { voucher: null }),
      (each) => Object.assign(each.payload, { channelConfig: [] }),
      (each) => Object.assign(each.payload.channelConfig, { withdrawDelay: "900" }),
      (each) => Object.assign(each.payload.voucher, { signature: 5 }),
      (each) => (each.payload.voucher.channelId = "0x12"),
    ];
    for (const [i, change] of malformed.entries()) {
      expect(await refusal(changed(payment, change)), `${i}`).to.equal(REASONS.payload);
    }
  });

  it("channelsThatDoNotExistOrAreEmpty_areRefused", async () => {
    const payer = fixture.payer();
    fixture.chain.delete(payer.channelId);
    expect(await refusal(payer.pay())).to.equal(REASONS.unknown);
    expect(await refusal(fixture.payer(CAP - 1n).pay())).to.equal(REASONS.balance);
    expect(await refusal(fixture.payer(CAP).pay())).to.equal(`charged ${FEE}`);
  });

  it("withdrawingChannels_areRefused", async () => {
    const payer = fixture.payer();
    const state = fixture.chain.get(payer.channelId)!;
    fixture.chain.set(payer.channelId, { ...state, withdrawRequestedAt: 1_700_000_000 });
    expect(await refusal(payer.pay())).to.equal(REASONS.withdrawing);
  });

  it("strangers_cannotBlockAChannel", async () => {
    const payer = fixture.payer();
    const forged = resigned(payer.pay(), (r, s, v) => `0x${s}${s}${v}`);
    const [, good] = await Promise.all([
      Promise.all(Array.from({ length: 8 }, () => fixture.post(forged))),
      fixture.post(payer.pay()),
    ]);
    expect(outcomeOf(good)).to.equal(`charged ${FEE}`);
  });

  it("bodiesTooLargeOrUnreadable_costNothing", async () => {
    const payer = fixture.payer();
    expect((await fixture.post(payer.pay(), chatBody("x".repeat(20_000)))).status).to.equal(413);
    expect((await fixture.post(payer.pay(), "{")).status).to.equal(400);
    expect((await fixture.post(payer.pay(), '{"model":"talker","model":"x","messages":[]}')).status).to.equal(400);
    expect((await fixture.post(payer.pay(), JSON.stringify({ model: "other", messages: [] }))).status).to.equal(404);
    expect(payer.chargedWei).to.equal(undefined);
  });
};

describe("ChannelLane: attacks", holds(false));
describe("ChannelLane: attacks, of a node in another process", holds(true));
