import { expect } from "chai";
import { TypedDataEncoder } from "ethers";
import { computeChannelId } from "@x402/evm/batch-settlement/client";

import { REASONS } from "../../../../simulator/gateway/channels/channelReasons.ts";
import { requestHash } from "../../../../simulator/receipts/requestHash.ts";
import { channelScope, requestIdForPayment } from "../../../../simulator/receipts/requestId.ts";
import type { Hex } from "../../../../simulator/receipts/types.ts";
import {
  ASSET,
  CAP,
  CHAT,
  chatBody,
  decode,
  DOMAIN,
  encode,
  FEE,
  LaneFixture,
  outcomeOf,
  PAYOUT,
  signedReceiptOf,
} from "./laneFixture.ts";

/** @param remote whether the node is in another process. */
const holds = (remote: boolean) => (): void => {
  const fixture = new LaneFixture();
  fixture.remote = remote;
  before(() => fixture.start());
  after(() => fixture.stop());
  beforeEach(() => fixture.answer("Hello"));

  it("hashes_areThoseOfTheStockPackagesAndEthers", () => {
    const { config, channelId } = fixture.payer();
    expect(channelId).to.equal(computeChannelId(config, "eip155:31337"));
    const domain = {
      name: "x402 Batch Settlement",
      version: "1",
      chainId: 31337,
      verifyingContract: "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
    };
    const types = {
      Voucher: [
        { name: "channelId", type: "bytes32" },
        { name: "maxClaimableAmount", type: "uint128" },
      ],
    };
    const max = 2n ** 127n + 12345n;
    const expected = TypedDataEncoder.hash(domain, types, { channelId, maxClaimableAmount: max });
    expect(fixture.hasher.voucher(channelId, max)).to.equal(expected);
  });

  it("voucher_buysAnAnswer_andChargesWhatItsReceiptSays", async () => {
    const payer = fixture.payer();
    const body = chatBody("Hi");
    const response = await fixture.post(payer.pay(), body);
    expect(response.status).to.equal(200);
    const state = decode(response.headers.get("payment-response"));
    expect(state).to.deep.equal({
      success: true,
      payer: payer.config.payer,
      transaction: "",
      network: "eip155:31337",
      amount: "",
      extra: {
        channelState: {
          channelId: payer.channelId,
          balance: "1000000",
          totalClaimed: "0",
          withdrawRequestedAt: 0,
          refundNonce: "0",
          chargedCumulativeAmount: FEE.toString(),
        },
        chargedAmount: FEE.toString(),
      },
    });
    const proof = decode(response.headers.get("x-inference-receipt")) as { receipt: unknown };
    const answer = (await response.json()) as { opengradient: { receipt: { requestId: string; fee: string } } };
    expect(proof).to.deep.equal(answer.opengradient);
    const scope = channelScope(CAP, requestHash("chat", Buffer.from(body)));
    const key = { asset: ASSET, payer: payer.config.payer, nonce: payer.channelId, scope };
    expect(answer.opengradient.receipt.requestId).to.equal(requestIdForPayment(DOMAIN, fixture.node.operator, key));
    expect(answer.opengradient.receipt.fee).to.equal(FEE.toString());
    expect(response.headers.get("x-processing-hash")).to.equal(answer.opengradient.receipt.requestId);
  });

  it("vouchers_goOnFromWhatWasCharged", async () => {
    const payer = fixture.payer();
    for (let n = 0n; n < 5n; n++) {
      expect(outcomeOf(await fixture.post(payer.pay(n * FEE + CAP), chatBody(`${n}`)))).to.equal(`charged ${FEE}`);
    }
    expect(payer.chargedWei).to.equal(5n * FEE);
  });

  it("sameVoucherSameRequest_getsTheSameAnswer_andIsChargedOnce", async () => {
    const payer = fixture.payer();
    const first = await fixture.post(payer.pay());
    const before = fixture.upstream.requests;
    const again = await fixture.post(payer.pay());
    expect(await again.text()).to.equal(await first.text());
    expect(again.headers.get("payment-response")).to.equal(first.headers.get("payment-response"));
    await fixture.post(payer.pay(FEE + CAP), chatBody("next"));
    const late = await fixture.post(payer.pay());
    expect(outcomeOf(late)).to.equal(`charged ${FEE}`);
    expect(payer.chargedWei).to.equal(2n * FEE);
    expect(fixture.upstream.requests).to.equal(before + 1);
  });

  for (const stream of [false, true]) {
    it(`sameVoucherOnceTheReceiptIsSettled_${stream ? "streamed" : "whole"}_saysWhere`, async () => {
      if (stream) fixture.stream(3);
      const [payer, body] = [fixture.payer(), chatBody("settle me", { stream })];
      const first = await fixture.post(payer.pay(), body);
      await first.text();
      const requestId = first.headers.get("x-processing-hash") as Hex;
      const batchId: Hex = `0x${"ba".repeat(32)}`;
      fixture.node.store.markBatched([requestId], batchId);
      fixture.node.store.markPlaced({ batchId, state: "posted", blobId: `0x${"00".repeat(32)}`, transaction: batchId });
      const again = await fixture.post(payer.pay(), body);
      const places = [first, again].map(({ headers }) => [
        headers.get("x-settlement-tx-hash"),
        headers.get("x-settlement-walrus-blob-id"),
      ]);
      expect(places).to.deep.equal([
        [null, null],
        [batchId, "A".repeat(43)],
      ]);
    });
  }

  it("sameVoucherOtherRequest_getsTheStateThatTheClientNeedsToGoOn", async () => {
    const payer = fixture.payer();
    await fixture.post(payer.pay());
    const response = await fixture.post(payer.pay(), chatBody("other"));
    expect(response.status).to.equal(402);
    const required = decode(response.headers.get("payment-required")) as {
      error: string;
      accepts: { extra: Record<string, unknown> }[];
    };
    expect(required.error).to.equal(REASONS.cumulative);
    const { voucher } = payer.pay().payload;
    expect(required.accepts[0]?.extra).to.deep.include({
      channelState: {
        channelId: payer.channelId,
        balance: "1000000",
        totalClaimed: "0",
        withdrawRequestedAt: 0,
        refundNonce: "0",
        chargedCumulativeAmount: FEE.toString(),
      },
      voucherState: { signedMaxClaimable: CAP.toString(), signature: voucher.signature },
    });
  });

  it("idempotencyKey_makesAnotherRequestOfTheSameBody", async () => {
    const payer = fixture.payer();
    const first = await signedReceiptOf(await fixture.post(payer.pay(), chatBody(), { "idempotency-key": "1" }));
    const second = await signedReceiptOf(
      await fixture.post(payer.pay(FEE + CAP), chatBody(), { "idempotency-key": "2" }),
    );
    expect(first.receipt.requestId).to.not.equal(second.receipt.requestId);
  });

  it("failedInference_isNotCharged_andTheVoucherBuysTheNextTry", async () => {
    const payer = fixture.payer();
    fixture.upstream.answer = { status: 500, type: "application/json", pieces: ["{}"] };
    expect((await fixture.post(payer.pay())).status).to.equal(502);
    expect(payer.chargedWei).to.equal(0n);
    fixture.answer("Hello");
    expect(outcomeOf(await fixture.post(payer.pay()))).to.equal(`charged ${FEE}`);
  });

  it("stream_endsWithReceiptAndPaymentResponse", async () => {
    const payer = fixture.payer();
    fixture.stream(7);
    const response = await fixture.post(payer.pay(), chatBody("Hi", { stream: true }));
    expect(response.headers.get("content-type")).to.include("text/event-stream");
    const events = (await response.text()).trimEnd().split("\n\n");
    expect(events.at(-1)).to.equal("data: [DONE]");
    const [name, data] = events.at(-2)?.split("\n") ?? [];
    expect(name).to.equal("event: x402-settlement");
    const settled = JSON.parse(data?.slice(6) ?? "") as { choices: []; paymentResponse: string };
    expect(settled.choices).to.deep.equal([]);
    expect(decode(settled.paymentResponse)).to.deep.include({ success: true });
    expect(events.at(-3)).to.include('"opengradient"');
    expect(payer.chargedWei).to.equal(FEE);
    const again = await fixture.post(payer.pay(), chatBody("Hi", { stream: true }));
    expect((await again.text()).trimEnd().split("\n\n")).to.deep.equal([events.slice(0, -2), events.slice(-2)].flat());
  });

  it("restart_goesOnWhereItWas", async () => {
    const payer = fixture.payer();
    const first = await fixture.post(payer.pay());
    await fixture.close();
    await fixture.open();
    expect(payer.chargedWei).to.equal(FEE);
    expect(await (await fixture.post(payer.pay())).text()).to.equal(await first.text());
    expect(outcomeOf(await fixture.post(payer.pay(FEE + CAP), chatBody("next")))).to.equal(`charged ${FEE}`);
  });

  it("requirements_areWhatIsAccepted_withWhatTokensCost", () => {
    const [terms] = fixture.lane.requirements(fixture.body());
    const { extra, ...accepted } = fixture.lane.terms.requirements(PAYOUT, CAP);
    const tariff = { baseWei: "0", inputWei: "2", outputWei: "3" };
    expect(terms).to.deep.equal({ ...accepted, extra: { ...extra, tariff } });
    expect(terms).to.deep.include({ scheme: "batch-settlement", network: "eip155:31337", amount: CAP.toString() });
  });

  it("otherRequests_areTheGateways", async () => {
    const payer = fixture.payer();
    const headers = { "content-type": "application/json", "payment-signature": encode(payer.pay()) };
    const exact = { ...payer.pay(), accepted: { ...payer.pay().accepted, scheme: "exact" } };
    const others: [string, RequestInit][] = [
      [CHAT, { method: "GET", headers }],
      [`${CHAT}/`, { method: "POST", headers, body: chatBody() }],
      [`${CHAT}?x`, { method: "POST", headers, body: chatBody() }],
      ["/v1//chat/completions", { method: "POST", headers, body: chatBody() }],
      ["/V1/chat/completions", { method: "POST", headers, body: chatBody() }],
      [CHAT, { method: "POST", headers: { "content-type": "application/json" }, body: chatBody() }],
      [CHAT, { method: "POST", headers: { ...headers, "content-type": "text/plain" }, body: chatBody() }],
      [CHAT, { method: "POST", headers: { ...headers, "payment-signature": encode(exact) }, body: chatBody() }],
      [CHAT, { method: "POST", headers: { ...headers, "payment-signature": "%%%" }, body: chatBody() }],
    ];
    for (const [path, init] of others) expect((await fetch(fixture.url + path, init)).status, path).to.equal(418);
    expect(payer.chargedWei).to.equal(undefined);
  });
};

describe("ChannelLane", holds(false));
describe("ChannelLane, of a node in another process", holds(true));
