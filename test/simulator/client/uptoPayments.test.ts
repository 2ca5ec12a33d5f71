import { PERMIT2_ADDRESS } from "@x402/evm";
import { expect } from "chai";
import { MaxUint256, parseEther, Wallet } from "ethers";
import { VerificationError } from "../../../simulator/client/ClientError.ts";
import type { VerifyingFetchOptions } from "../../../simulator/client/createVerifyingFetch.ts";
import type { Receipt } from "../../../simulator/receipts/types.ts";
import { chat, eventually } from "../gateway/gatewayFixture.ts";
import { rejection } from "../../support/rejection.ts";
import { ClientFixture, INPUT_WEI, OUTPUT_WEI, tampering, type LooseAnswer } from "./clientFixture.ts";

const CAP = parseEther("0.1");
/** Of an echo. */
const costOf = (words: number): bigint => (INPUT_WEI + OUTPUT_WEI) * BigInt(words);

describe("createVerifyingFetch: upto sessions", function () {
  this.timeout(30_000);
  let fixture: ClientFixture;

  before(async () => {
    fixture = await ClientFixture.startByToken({ sessionIdleMs: 250, sweepMs: 20 });
    const { chain, payer } = fixture.world;
    await (await chain.opg.connect(payer).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
  });
  after(() => fixture.stop());

  beforeEach(() => {
    fixture.receipts.length = 0;
  });

  const client = (changes: Partial<VerifyingFetchOptions> = {}): ((body: object) => Promise<Response>) => {
    const verifying = fixture.fetch({ maxSessionWei: 2n * CAP, ...changes });
    return (body) =>
      verifying(`${fixture.gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
  };
  const sent = (headers: Set<string>): typeof fetch => {
    return (input, init) => {
      const request = new Request(input, init);
      const header = request.headers.get("payment-signature");
      if (header !== null) headers.add(header);
      return fetch(request);
    };
  };
  const settled = (): Promise<void> =>
    eventually(() => {
      const { open, closing, settling } = fixture.gateway.sessions.counts();
      return open + closing + settling === 0;
    }, "all sessions settled");

  it("requests_oneAfterTheOther_costOneAuthorizationAndOneTransfer", async () => {
    const headers = new Set<string>();
    const unpaid = { count: 0 };
    const ask = client({
      fetch: async (input, init) => {
        const response = await sent(headers)(input, init);
        if (response.status === 402) unpaid.count++;
        return response;
      },
    });
    const before = await fixture.world.received();
    for (const content of ["one", "one two", "one two three"]) {
      expect(await (await ask(chat(content))).json()).to.have.nested.property("choices[0].message.content", content);
    }
    expect(await (await ask(chat("in a stream", { stream: true }))).text()).to.contain("[DONE]");
    expect(headers.size).to.equal(1);
    expect(unpaid.count).to.equal(1);
    expect(fixture.receipts.map(({ signed }) => signed.receipt.fee)).to.deep.equal([1, 2, 3, 3].map(costOf));
    expect(new Set(fixture.receipts.map(({ requestId }) => requestId)).size).to.equal(4);
    const [{ payment }] = fixture.receipts as [(typeof fixture.receipts)[0]];
    expect(payment).to.deep.include({ scheme: "upto", valueWei: CAP });
    expect(payment.tariff).to.deep.equal({ baseWei: 0n, inputWei: INPUT_WEI, outputWei: OUTPUT_WEI });
    await settled();
    expect((await fixture.world.received()) - before).to.equal(costOf(9));
  });

  it("sameQuestionTwice_isTwoPurchases_unlessTheApplicationSaysOtherwise", async () => {
    const runs = fixture.node.inferences;
    const ask = client();
    await ask(chat("again"));
    await ask(chat("again"));
    expect(fixture.node.inferences - runs).to.equal(2);
    const verifying = fixture.fetch({ maxSessionWei: CAP });
    for (let i = 0; i < 2; i++) {
      await verifying(`${fixture.gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": "the same" },
        body: JSON.stringify(chat("again")),
      });
    }
    expect(fixture.node.inferences - runs).to.equal(3);
    expect(new Set(fixture.receipts.map(({ requestId }) => requestId)).size).to.equal(3);
  });

  it("requests_atOnce_shareAnAuthorization", async () => {
    const headers = new Set<string>();
    const ask = client({ fetch: sent(headers) });
    await Promise.all(Array.from({ length: 6 }, (_, i) => ask(chat(`number ${i}`))));
    expect(fixture.receipts).to.have.length(6);
    expect(headers.size).to.equal(1);
  });

  it("session_settledInBetween_isFollowedByANewOne", async () => {
    const headers = new Set<string>();
    const ask = client({ fetch: sent(headers) });
    await ask(chat("before"));
    await settled();
    await ask(chat("after"));
    expect(fixture.receipts).to.have.length(2);
    expect(headers.size).to.equal(2);
  });

  it("sessions_notWanted_everyRequestHasItsOwnAuthorization", async () => {
    const headers = new Set<string>();
    const ask = client({ fetch: sent(headers), sessions: false });
    for (const content of ["a", "b"]) await ask(chat(content));
    expect(headers.size).to.equal(2);
  });

  it("payer_withoutEtherOrAllowance_isSponsored", async () => {
    const wallet = Wallet.createRandom();
    const { chain } = fixture.world;
    await (await chain.opg.transfer(wallet.address, CAP)).wait();
    const ask = client({ wallet: wallet.privateKey as `0x${string}`, provider: chain.provider });
    expect((await ask(chat("on the house"))).status).to.equal(200);
    await eventually(
      async () => (await chain.opg.balanceOf(wallet.address)) === CAP - costOf(3),
      "the sponsored payment",
    );
  });

  it("connection_lostAfterPaying_isAskedAgainAndChargedOnce", async () => {
    await settled();
    const before = await fixture.world.received();
    const runs = fixture.node.inferences;
    let losses = 2;
    const ask = client({
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (response.headers.get("payment-response") === null || losses-- <= 0) return response;
        await response.body?.cancel();
        throw new TypeError("fetch failed");
      },
    });
    expect((await ask(chat("lost and found"))).status).to.equal(200);
    expect(fixture.node.inferences - runs).to.equal(1);
    await settled();
    expect((await fixture.world.received()) - before).to.equal(costOf(3));
  });

  describe("lying gateway", () => {
    const resigned =
      (change: (receipt: LooseAnswer) => Partial<Receipt>) =>
      (answer: LooseAnswer): object => {
        const proof = answer.opengradient;
        if (proof === undefined) return answer;
        return { ...answer, opengradient: { ...proof, receipt: fixture.resign(proof.receipt, change(answer)) } };
      };
    const usage = (prompt: number, completion: number) => ({ prompt_tokens: prompt, completion_tokens: completion });

    const lies: [string, string, (answer: LooseAnswer) => object][] = [
      ["higherFeeThanTheTariffs", "fee_mismatch", resigned(() => ({ fee: costOf(2) + 1n }))],
      ["lowerFeeThanTheTariffs", "fee_mismatch", resigned(() => ({ fee: costOf(2) - 1n }))],
      ["allThatWasSigned", "fee_mismatch", resigned(() => ({ fee: CAP }))],
      [
        "moreTokensThanTheRequestHasBytes",
        "implausible_usage",
        (answer) =>
          resigned(() => ({ fee: INPUT_WEI * 5_000n + OUTPUT_WEI }))({ ...answer, usage: usage(5_000, 1) } as never),
      ],
      [
        "moreTokensThanWereAllowed",
        "implausible_usage",
        (answer) => resigned(() => ({ fee: INPUT_WEI + OUTPUT_WEI * 9n }))({ ...answer, usage: usage(1, 9) } as never),
      ],
      ["otherRequestId", "request_id_mismatch", resigned(() => ({ requestId: `0x${"77".repeat(32)}` }))],
    ];
    for (const stream of [false, true]) {
      for (const [name, code, lie] of lies) {
        it(`${stream ? "stream" : "chat"}_${name}_isRefused`, async () => {
          const only = (answer: LooseAnswer): object => (answer.opengradient === undefined ? answer : lie(answer));
          const ask = client({ fetch: tampering(only) });
          const error = await rejection(ask(chat("true words", { stream, max_tokens: 8 })).then((r) => r.text()));
          expect(error).to.be.instanceOf(VerificationError);
          expect(error).to.include({ code });
          expect(fixture.receipts).to.have.length(0);
        });
      }
    }

    it("answer_ofAnEarlierRequest_isNotTakenForAnother", async () => {
      let first: { body: string; headers: Headers } | undefined;
      const ask = client({
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          if (response.headers.get("payment-response") === null) return response;
          const body = await response.text();
          first ??= { body, headers: response.headers };
          return new Response(first.body, { headers: first.headers });
        },
      });
      await ask(chat("the same words"));
      // the same request, so that input, output, payer and fee are right: only its id is not
      expect(await rejection(ask(chat("the same words")))).to.include({ code: "request_id_mismatch" });
    });

    it("request_dearerThanAllowed_isRefused", async () => {
      const ask = client({ maxPaymentWei: costOf(2) - 1n });
      expect(await rejection(ask(chat("two words")))).to.include({ code: "fee_mismatch" });
    });

    const stating =
      (change: (response: Record<string, unknown>) => object): typeof fetch =>
      async (input, init) => {
        const response = await fetch(input, init);
        const header = response.headers.get("payment-response");
        if (header === null) return response;
        const stated = JSON.parse(Buffer.from(header, "base64").toString()) as Record<string, unknown>;
        const headers = new Headers(response.headers);
        headers.set("payment-response", Buffer.from(JSON.stringify(change(stated))).toString("base64"));
        return new Response(response.body, { status: response.status, headers });
      };
    const statements: [string, (response: Record<string, unknown>) => object][] = [
      ["anotherAmount", (response) => ({ ...response, amount: "1" })],
      ["anotherPayer", (response) => ({ ...response, payer: `0x${"66".repeat(20)}` })],
      ["anotherNetwork", (response) => ({ ...response, network: "eip155:8453" })],
      ["failure", (response) => ({ ...response, success: false })],
      ["nonsense", () => ({})],
    ];
    for (const [name, change] of statements) {
      it(`paymentResponse_${name}_isRefused`, async () => {
        const error = await rejection(client({ fetch: stating(change) })(chat("what it cost")));
        expect(error).to.include({ code: "payment_response_mismatch" });
      });
    }

    it("session_ofALie_paysForNothingMore", async () => {
      const headers = new Set<string>();
      let lie = true;
      const ask = client({
        fetch: async (input, init) => {
          const send = lie ? tampering(resigned(() => ({ fee: CAP }))) : fetch;
          const request = new Request(input, init);
          headers.add(request.headers.get("payment-signature") ?? "");
          return send(request);
        },
      });
      await rejection(ask(chat("a lie")));
      lie = false;
      await ask(chat("the truth"));
      // none, the first, the second
      expect(headers.size).to.equal(3);
    });

    it("sessionAlwaysExhausted_isSignedOncePerRequestOnly", async () => {
      const headers = new Set<string>();
      const exhausted: typeof fetch = async (input, init) => {
        const request = new Request(input, init);
        const header = request.headers.get("payment-signature");
        if (header !== null) headers.add(header);
        request.headers.delete("payment-signature");
        return fetch(request);
      };
      const ask = client({ fetch: exhausted, maxOutstandingWei: 2n * CAP });
      for (let i = 0; i < 2; i++) expect((await ask(chat("never"))).status).to.equal(402);
      expect(headers.size).to.equal(2);
      expect(await rejection(ask(chat("never")))).to.include({ code: "payment_declined" });
    });
  });
});
