import { expect } from "chai";
import OpenAI from "openai";
import { PaymentDeclinedError, VerificationError } from "../../../simulator/client/ClientError.ts";
import { EnclaveError, NoEnclaveError } from "../../../simulator/client/EnclaveError.ts";
import type { EnclaveFetch, EnclaveFetchOptions } from "../../../simulator/client/EnclaveFetch.ts";
import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { enclaveRoutes } from "../../../simulator/enclave/enclaveRoutes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { rejection } from "../../support/rejection.ts";
import { withProvider } from "../facilitator/localChain.ts";
import { chat, FEE, MODEL } from "../gateway/gatewayFixture.ts";
import { EnclaveFixture, type OpenedEnclave } from "./enclaveFixture.ts";

describe("EnclaveFetch: who is paid, and how often", () => {
  let fixture: EnclaveFixture;
  let first: OpenedEnclave;
  let second: OpenedEnclave;
  let attestations = 0;

  before(async function () {
    this.timeout(120_000);
    fixture = await EnclaveFixture.start();
    first = await fixture.open({
      routes: (app, enclave) => {
        app.addHook("onRequest", (request, _reply, done) => {
          if (request.url.startsWith("/enclave/")) attestations++;
          done();
        });
        app.register(enclaveRoutes(enclave));
      },
    });
    second = await fixture.open();
  });

  after(() => fixture.stop());

  beforeEach(() => {
    attestations = 0;
    for (const { endpoint, node } of [first, second]) {
      endpoint.lie = endpoint.onPaid = undefined;
      endpoint.requests = endpoint.paid = endpoint.losses = node.inferences = 0;
      node.script = (words, say) => Promise.resolve(words.forEach(say));
    }
  });

  const client = (changes: Partial<EnclaveFetchOptions> = {}): EnclaveFetch => fixture.client([first, second], changes);

  const ask = (by: EnclaveFetch, body: object, signal?: AbortSignal): Promise<string> =>
    by
      .fetch(`${by.baseUrl}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        ...(signal && { signal }),
      })
      .then((response) => response.text());

  /** How many inferences each enclave ran. */
  const inferences = (): number[] => [first, second].map(({ node }) => node.inferences);

  describe("before a payment", () => {
    it("enclaveThatIsNotReached_isPassedOver_andRests", async function () {
      this.timeout(30_000);
      const gone = await fixture.open();
      await gone.endpoint.stop();
      const by = fixture.client([gone, second]);
      await ask(by, chat("is anybody there"));
      expect(inferences()).to.deep.equal([0, 1]);
      expect([...by.caught.keys()]).to.deep.equal([]);
      const error = await rejection(ask(fixture.client([gone]), chat("is nobody there")));
      expect(error).to.be.instanceOf(NoEnclaveError);
      expect((error as NoEnclaveError).refusals.get(gone.enclave.teeId)).to.include({ code: "unreachable" });
    });

    it("enclaveWhoseNodeIsDown_isPassedOver", async function () {
      this.timeout(30_000);
      const idle = await fixture.open();
      await idle.node.stop();
      await ask(fixture.client([idle, second]), chat("somebody else, then"));
      expect(idle.endpoint.paid).to.equal(0);
      expect(inferences()).to.deep.equal([0, 1]);
    });

    it("errorThatAllGive_isHandedOn", async () => {
      const openai = fixture.openai(client());
      const error = await rejection(
        openai.chat.completions.create({ model: "test/none", messages: [{ role: "user", content: "x" }] }),
      );
      expect(error).to.be.instanceOf(OpenAI.NotFoundError);
      expect([first.endpoint.requests, second.endpoint.requests]).to.deep.equal([1, 1]);
    });

    it("priceAboveTheLimit_isPaidToNobody", async () => {
      const error = await rejection(ask(client({ maxPaymentWei: FEE - 1n }), chat("too dear")));
      expect(error).to.be.instanceOf(PaymentDeclinedError);
      expect(inferences()).to.deep.equal([0, 0]);
    });

    it("answerWithoutAskingForPayment_isRefused_andTheNextEnclaveAsked", async function () {
      this.timeout(30_000);
      const generous = await fixture.open({
        routes: (app, enclave) => {
          app.register(enclaveRoutes(enclave));
          app.addHook("onRequest", async (request, reply) => {
            if (request.url.endsWith("/chat/completions")) {
              await reply.send({ choices: [{ message: { content: "trust me" } }] });
            }
          });
        },
      });
      const by = fixture.client([generous, second]);
      expect(await ask(by, chat("for free"))).to.contain("for free");
      expect(by.caught.get(generous.enclave.teeId)).to.include({ code: "unpaid_answer" });
    });

    it("requestThatIsAborted_isSentNowhereElse", async () => {
      const error = await rejection(ask(client(), chat("never mind"), AbortSignal.abort()));
      expect(error).to.include({ name: "AbortError" });
      expect([first.endpoint.requests, second.endpoint.requests]).to.deep.equal([0, 0]);
    });
  });

  describe("after a payment", () => {
    it("lostAnswer_isFetchedAtTheSameEnclave_forTheSameMoney", async () => {
      first.endpoint.losses = 2;
      expect(await ask(client(), chat("lost twice"))).to.contain("lost twice");
      expect(first.endpoint.paid).to.equal(3);
      expect(inferences()).to.deep.equal([1, 0]);
    });

    it("answerLostForGood_isAnError_andTheSameRequestGoesWhereItWasPaid", async () => {
      first.endpoint.losses = 1;
      const by = client({ retries: 0 });
      const error = await rejection(ask(by, chat("lost for now")));
      expect(error).to.be.instanceOf(EnclaveError).and.include({ code: "unreachable" });
      expect(second.endpoint.paid).to.equal(0);
      expect(await ask(by, chat("lost for now"))).to.contain("lost for now");
      expect(inferences()).to.deep.equal([1, 0]);
      expect(second.endpoint.paid).to.equal(0);
    });

    it("paidRequest_isNotPaidElsewhere_evenWhenItsEnclaveIsGone", async function () {
      this.timeout(30_000);
      const dying = await fixture.open();
      dying.endpoint.losses = 1;
      const by = fixture.client([dying, second], { retries: 0 });
      await rejection(ask(by, chat("last words")));
      await dying.endpoint.stop();
      expect(await rejection(ask(by, chat("last words")))).to.include({ code: "unreachable" });
      expect(second.endpoint.paid).to.equal(0);
      // another request is another matter
      expect(await ask(by, chat("first words"))).to.contain("first words");
      expect(second.endpoint.paid).to.equal(1);
    });

    it("refusedAnswer_isNotBoughtAgainByOpenAisRetries", async () => {
      first.endpoint.lie = (answer) => first.endpoint.proven(answer, { outputHash: keccak256("other") });
      const openai = fixture.openai(client(), 2);
      const error = await rejection(
        openai.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "once" }] }),
      );
      expect(error.cause).to.be.instanceOf(VerificationError).and.include({ code: "output_mismatch" });
      expect(first.endpoint.paid + second.endpoint.paid).to.equal(1);
    });

    it("answerThatCannotBeChecked_costsNothingMoreOnceItCan", async () => {
      let down = false;
      const { chain } = fixture.world;
      const { provider } = withProvider(chain, {
        call: (tx) => (down ? Promise.reject(new Error("the chain is away")) : chain.provider.call(tx)),
      });
      for (const stream of [false, true]) {
        const by = client({ provider });
        first.endpoint.onPaid = () => Promise.resolve((down = true));
        expect(String(await rejection(ask(by, chat("unchecked", { stream }))))).to.contain("the chain is away");
        [down, first.endpoint.onPaid] = [false, undefined];
        expect(await ask(by, chat("unchecked", { stream }))).to.contain("unchecked");
      }
      expect(inferences()).to.deep.equal([2, 0]);
      expect(second.endpoint.paid).to.equal(0);
    });

    it("imageRevokedWhileItAnswers_isNotBelieved", async function () {
      this.timeout(30_000);
      const doomed = await fixture.open({ application: "an image with a flaw" });
      const by = fixture.client([doomed, second]);
      await ask(by, chat("before"));
      doomed.endpoint.onPaid = async () => {
        await (await fixture.nodes.revokePCR(pcrHashOf(doomed.enclave.measurements), 0)).wait();
      };
      expect(await rejection(ask(by, chat("meanwhile")))).to.include({ code: "enclave_not_live" });
      await ask(by, chat("after"));
      expect([doomed.endpoint.paid, second.endpoint.paid]).to.deep.equal([2, 1]);
    });
  });

  describe("connections", () => {
    it("newConnection_isAttestedAnew_beforeAnythingElseIsSent", async () => {
      const by = client();
      await ask(by, chat("one"));
      const once = attestations;
      expect(once).to.be.greaterThan(0);
      await ask(by, chat("two"));
      expect(attestations).to.equal(once);
      first.endpoint.disconnect();
      await ask(by, chat("three"));
      expect(attestations).to.be.greaterThan(once);
      expect(second.endpoint.requests).to.equal(0);
    });

    it("enclaveThatAttestsNoMore_isCaught_andSentNothing", async () => {
      const by = client();
      await ask(by, chat("one"));
      const { requests } = first.endpoint;
      const attest = first.enclave.attest.bind(first.enclave);
      first.enclave.attest = () => attest(Buffer.alloc(32));
      try {
        first.endpoint.disconnect();
        await ask(by, chat("two"));
      } finally {
        first.enclave.attest = attest;
      }
      expect(by.caught.get(first.enclave.teeId)).to.include({ code: "nonce_mismatch" });
      expect(first.endpoint.requests).to.equal(requests);
      expect(second.endpoint.paid).to.equal(1);
    });
  });
});
