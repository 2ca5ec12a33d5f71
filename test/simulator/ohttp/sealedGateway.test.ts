import { expect } from "chai";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { sealingKeyOfEnclave } from "../../../simulator/nodes/SealedRequests.ts";
import { blindedHash } from "../../../simulator/ohttp/blindedHash.ts";
import { decodeInnerResponse } from "../../../simulator/ohttp/innerMessages.ts";
import { generateSealingKey, parseKeyConfigs } from "../../../simulator/ohttp/keyConfig.ts";
import { openResponseChunks } from "../../../simulator/ohttp/responseChunks.ts";
import { openResponse } from "../../../simulator/ohttp/sealedResponse.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_KEYS, OHTTP_RESPONSE } from "../../../simulator/ohttp/suite.ts";
import { inputHash } from "../../../simulator/receipts/hashes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { chat, errorCode, eventually, FEE } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../gateway/ScriptedNode.ts";
import { SealedFixture } from "./sealedFixture.ts";
import { codeOf, collect, flipped } from "./sealing.ts";

interface InnerBody {
  error?: { code: string; message: string };
  tee_id?: string;
  opengradient?: { receipt: { requestId: Hex; inputHash: Hex; outputHash: Hex } };
}

describe("sealed requests at the gateway", () => {
  let fixture: SealedFixture;

  before(async () => {
    fixture = await SealedFixture.start();
  });

  after(() => fixture.stop());

  afterEach(() => {
    fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  const inner = async (response: Response, secrets: Parameters<typeof openResponse>[0]) => {
    const { status, body } = decodeInnerResponse(openResponse(secrets, new Uint8Array(await response.arrayBuffer())));
    return { status, body: JSON.parse(body) as InnerBody };
  };

  /** What is neither charged nor owed after `work`. */
  async function costsNothing(work: () => Promise<void>): Promise<void> {
    await fixture.world.settled(fixture.gateway);
    const before = await fixture.world.received();
    await work();
    await fixture.world.settled(fixture.gateway);
    expect(await fixture.world.received()).to.equal(before);
    expect(fixture.gateway.store.outstandingWei(fixture.world.payer.address.toLowerCase() as `0x${string}`)).to.equal(
      0n,
    );
  }

  describe("configuration", () => {
    it("config_isTheNodesKey", async () => {
      const response = await fetch(`${fixture.outside.url}/v1/ohttp/config`);
      expect(response.headers.get("content-type")).to.equal(OHTTP_KEYS);
      const keys = parseKeyConfigs(new Uint8Array(await response.arrayBuffer()));
      expect(keys).to.deep.equal([{ keyId: fixture.key.keyId, publicKey: fixture.key.publicKey }]);
    });

    it("nodesConfig_isForTheOperatorOnly", async () => {
      const url = `${fixture.node.url}/v1/ohttp/config`;
      expect((await fetch(url)).status).to.equal(401);
      const response = await fetch(url, { headers: { authorization: `Bearer ${NODE_TOKEN}` } });
      expect(parseKeyConfigs(new Uint8Array(await response.arrayBuffer()))).to.have.length(1);
    });
  });

  describe("before payment", () => {
    const refused = async (bytes: Uint8Array, headers: Record<string, string>): Promise<[number, string]> => {
      const response = await fixture.post(bytes, headers);
      return [response.status, await errorCode(response)];
    };

    it("price_isThatOfTheModelNamedOutside", async () => {
      const { bytes } = await fixture.seal(chat("hello"));
      const response = await fixture.post(bytes);
      expect(response.status).to.equal(402);
      const { accepts } = (await response.json()) as { accepts: { scheme: string; amount: string }[] };
      const fixed = accepts.filter(({ scheme }) => scheme === "exact");
      // by ERC-3009 and by Permit2
      expect(fixed.map(({ amount }) => amount)).to.deep.equal([FEE.toString(), FEE.toString()]);
    });

    it("modelMissingOrUnknown_isRefused", async () => {
      const { bytes } = await fixture.seal(chat("hello"));
      expect(await refused(bytes, { "x-og-model": "" })).to.deep.equal([400, "missing_model"]);
      expect(await refused(bytes, { "x-og-model": "test/none" })).to.deep.equal([404, "model_not_found"]);
    });

    it("unknownKeyId_isToldToLookItUpAgain", async () => {
      const { bytes } = await fixture.seal(chat("hello"), await generateSealingKey(77));
      const response = await fixture.post(bytes);
      expect(response.status).to.equal(400);
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      expect(error.code).to.equal("unknown_key");
      expect(error.message).to.contain("/v1/ohttp/config");
    });

    it("otherSuiteOrGarbage_isRefused", async () => {
      const { bytes } = await fixture.seal(chat("hello"));
      expect(await refused(flipped(bytes, 6), {})).to.deep.equal([400, "unsupported_suite"]);
      expect(await refused(bytes.subarray(0, 54), {})).to.deep.equal([400, "malformed_request"]);
      expect(await refused(bytes, { "x-tee-id": "enclave" })).to.deep.equal([400, "invalid_tee_id"]);
      expect(await refused(bytes, { "x-tee-id": `0x${"11".repeat(32)}` })).to.deep.equal([400, "unknown_key"]);
    });

    it("clearTextByMistake_isRefusedAndNotForwarded", async () => {
      const body = Buffer.from(JSON.stringify(chat("hello")));
      expect(await refused(body, { "content-type": "application/json" })).to.deep.equal([
        415,
        "unsupported_media_type",
      ]);
      expect(await refused(body, {})).to.deep.equal([400, "unsupported_suite"]);
    });
  });

  describe("paid", () => {
    it("samePaymentAndCiphertext_getsTheSameSealedAnswer_chargedOnce", async () => {
      const { bytes, secrets } = await fixture.seal(chat("once"));
      const payment = await fixture.pay(bytes);
      const before = fixture.node.inferences;
      const first = Buffer.from(await (await fixture.post(bytes, { payment })).arrayBuffer());
      const again = await fixture.post(bytes, { payment });
      expect(again.headers.get("content-type")).to.equal(OHTTP_RESPONSE);
      expect(Buffer.from(await again.arrayBuffer()).equals(first)).to.be.true;
      expect(fixture.node.inferences).to.equal(before + 1);
      expect(decodeInnerResponse(openResponse(secrets, first)).status).to.equal(200);
    });

    it("copiesAtOnce_shareOneInference", async () => {
      const { bytes } = await fixture.seal(chat("shared"));
      const payment = await fixture.pay(bytes);
      const before = fixture.node.inferences;
      const answers = await Promise.all(
        Array.from({ length: 5 }, async () =>
          Buffer.from(await (await fixture.post(bytes, { payment })).arrayBuffer()),
        ),
      );
      expect(new Set(answers.map((answer) => answer.toString("hex"))).size).to.equal(1);
      expect(fixture.node.inferences).to.equal(before + 1);
    });

    it("samePaymentForOtherCiphertext_isRefused", async () => {
      const [first, other] = [await fixture.seal(chat("same")), await fixture.seal(chat("same"))];
      const payment = await fixture.pay(first.bytes);
      expect((await fixture.post(first.bytes, { payment })).status).to.equal(200);
      const response = await fixture.post(other.bytes, { payment });
      expect(response.status).to.equal(402);
      expect(await errorCode(response)).to.equal("payment_already_used");
    });

    it("ciphertextReplayedWithAnotherPayment_isBoughtTwice_andOpenedByItsClientOnly", async () => {
      await fixture.world.settled(fixture.gateway);
      const received = await fixture.world.received();
      const { bytes, secrets } = await fixture.seal(chat("twice"));
      const payments = [await fixture.pay(bytes), await fixture.pay(bytes)];
      const stranger = await fixture.seal(chat("twice"));
      const answers = await Promise.all(payments.map((payment) => fixture.post(bytes, { payment })));
      const sealed = await Promise.all(answers.map(async (answer) => new Uint8Array(await answer.arrayBuffer())));
      const requestIds = sealed.map((answer) => {
        const body = JSON.parse(decodeInnerResponse(openResponse(secrets, answer)).body) as InnerBody;
        return body.opengradient?.receipt.requestId;
      });
      expect(new Set(requestIds).size).to.equal(2);
      for (const answer of sealed) {
        expect(await codeOf(() => openResponse(stranger.secrets, answer))).to.equal("cannot_open");
      }
      await fixture.world.settled(fixture.gateway);
      expect(await fixture.world.received()).to.equal(received + 2n * FEE);
    });

    it("receiptBesideTheAnswer_isTheOneInside_andHashesAreBlinded", async () => {
      const { bytes, secrets } = await fixture.seal(chat("receipt"));
      const response = await fixture.post(bytes, { payment: await fixture.pay(bytes) });
      const outside = JSON.parse(
        Buffer.from(response.headers.get("x-inference-receipt") ?? "", "base64").toString(),
      ) as object;
      const { body } = await inner(response, secrets);
      expect(body.opengradient).to.deep.equal(outside);
      const { inputHash: input, outputHash: output } = body.opengradient!.receipt;
      const plain = inputHash("chat", JSON.stringify(chat("receipt")));
      expect(input)
        .to.equal(blindedHash(secrets.receiptSalt, "input", plain))
        .and.not.equal(plain);
      expect(output).to.equal(blindedHash(secrets.receiptSalt, "output", keccak256("receipt")));
    });

    it("keyReplacedByOneWithTheSameId_isNotCharged", () =>
      costsNothing(async () => {
        const { bytes } = await fixture.seal(chat("late"), await generateSealingKey());
        const response = await fixture.post(bytes, { payment: await fixture.pay(bytes) });
        expect(response.status).to.equal(400);
        expect(await errorCode(response)).to.equal("cannot_open");
      }));

    it("ciphertextChangedOnTheWay_isNotCharged", () =>
      costsNothing(async () => {
        const { bytes } = await fixture.seal(chat("changed"));
        for (const at of [10, 45, bytes.length - 1]) {
          const changed = flipped(bytes, at);
          const response = await fixture.post(changed, { payment: await fixture.pay(changed) });
          expect(await errorCode(response)).to.equal("cannot_open");
        }
      }));

    it("innerRequestThatIsNone_isRefusedUnderSeal_andNotCharged", () =>
      costsNothing(async () => {
        const cases: [object | string, number, string][] = [
          ["not JSON, quokka", 400, "invalid_request"],
          [{ model: "test/echo" }, 400, "invalid_request"],
          [{ model: "test/echo", messages: [{ role: "wizard", content: "quokka" }] }, 400, "invalid_request"],
          [{ ...chat("quokka"), model: "test/quokka" }, 404, "model_not_found"],
          [chat("quokka", { stream: true }), 400, "stream_mismatch"],
          [{ model: "test/echo", inputs: { quokka: [1] } }, 404, "not_found"],
        ];
        for (const [body, status, code] of cases) {
          const { bytes, secrets } = await fixture.seal(body);
          const response = await fixture.post(bytes, { payment: await fixture.pay(bytes) });
          expect(response.headers.get("content-type")).to.equal(OHTTP_RESPONSE);
          expect(response.status).to.equal(status);
          const answer = await inner(response, secrets);
          expect([answer.status, answer.body.error?.code]).to.deep.equal([status, code]);
        }
        expect(fixture.visible().includes("quokka")).to.be.false;
      }));

    it("failedInference_isRefusedUnderSeal_andItsPaymentBuysItLater", async () => {
      const { bytes, secrets } = await fixture.seal(chat("try again"));
      const payment = await fixture.pay(bytes);
      fixture.node.script = () => Promise.reject(new Error("the model saw a wombat"));
      const failed = await fixture.post(bytes, { payment });
      expect(failed.status).to.equal(502);
      expect((await inner(failed, secrets)).body.error?.code).to.equal("internal_error");
      expect(fixture.visible().includes("wombat")).to.be.false;
      fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
      const served = await fixture.post(bytes, { payment });
      expect((await inner(served, secrets)).status).to.equal(200);
    });

    it("gatewayThatStopsInBetween_asksAgainForTheSameCiphertext", async () => {
      const { bytes, secrets } = await fixture.seal(chat("unfinished"));
      const file = fixture.world.newFile();
      const nodes = [{ url: fixture.inside.url, token: NODE_TOKEN }];
      const first = await fixture.world.openDoomedGateway({ storeFile: file, nodes, drainMs: 1 });
      const payment = await fixture.pay(bytes);
      const before = fixture.node.inferences;
      let release = (): void => undefined;
      fixture.node.script = async (words, say) => {
        await new Promise<void>((resolve) => (release = resolve));
        words.forEach(say);
      };
      const lost = fixture.post(bytes, { payment }, first.url).catch(() => undefined);
      await eventually(() => fixture.node.inferences > before, "the inference is under way");
      await Promise.all([first.stop(), lost]);
      release();
      const second = await fixture.world.openGateway({ storeFile: file, nodes });
      await eventually(() => second.store.counts().reserved === 0, "the gateway has taken it up again");
      const response = await fixture.post(bytes, { payment }, second.url);
      expect((await inner(response, secrets)).status).to.equal(200);
      expect(fixture.node.inferences).to.equal(before + 1);
    });

    it("receiptForAnotherSettlement_isNotCharged", async () => {
      const { world, key } = fixture;
      const stray = world.newNode({
        sealing: key,
        domain: { ...world.domain, verifyingContract: `0x${"66".repeat(20)}` },
      });
      await stray.start();
      const gateway = await world.openGateway({ nodes: [{ url: stray.url, token: NODE_TOKEN }] });
      for (const accept of [OHTTP_RESPONSE, OHTTP_CHUNKED_RESPONSE]) {
        const { bytes, secrets } = await fixture.seal(chat("whose?", { stream: accept === OHTTP_CHUNKED_RESPONSE }));
        const payment = await fixture.pay(bytes, { accept }, { url: gateway.url });
        const response = await fixture.post(bytes, { accept, payment }, gateway.url);
        if (accept === OHTTP_RESPONSE) {
          expect([response.status, await errorCode(response)]).to.deep.equal([502, "bad_receipt"]);
        } else {
          expect(await codeOf(() => collect(openResponseChunks(secrets, response.body!)))).to.equal(
            "truncated_response",
          );
        }
      }
      expect(gateway.store.counts()).to.include({ released: 2, answered: 0, settling: 0, paid: 0 });
      await stray.stop();
    });

    it("streamWhosePaymentFails_lacksItsLastChunk_untilItIsPaid", async () => {
      const { world } = fixture;
      const nodes = [{ url: fixture.inside.url, token: NODE_TOKEN }];
      const careful = await world.openGateway({ nodes, timing: "before-answer" });
      const payer = world.chain.account(4);
      await (await world.chain.opg.transfer(payer.address, FEE)).wait();
      const { bytes, secrets } = await fixture.seal(chat("too late", { stream: true }));
      const accept = OHTTP_CHUNKED_RESPONSE;
      const payment = await fixture.pay(bytes, { accept }, { url: careful.url, payer });
      fixture.node.script = async (words, say) => {
        await (await world.chain.opg.connect(payer).transfer(world.chain.account(0).address, FEE)).wait();
        words.forEach(say);
      };
      const read = async (): Promise<string> => {
        const response = await fixture.post(bytes, { accept, payment }, careful.url);
        return (await collect(openResponseChunks(secrets, response.body!))).toString();
      };
      expect(await codeOf(read)).to.equal("truncated_response");
      await (await world.chain.opg.transfer(payer.address, FEE)).wait();
      expect(await read()).to.contain("[DONE]");
      expect(await world.chain.opg.balanceOf(payer.address)).to.equal(0n);
    });

    it("answerSurvivesANewKey", async () => {
      const { bytes } = await fixture.seal(chat("kept"));
      const file = fixture.world.newFile();
      const nodes = [{ url: fixture.inside.url, token: NODE_TOKEN }];
      const first = await fixture.world.openDoomedGateway({ storeFile: file, nodes });
      const payment = await fixture.pay(bytes);
      const before = Buffer.from(await (await fixture.post(bytes, { payment }, first.url)).arrayBuffer());
      const other = fixture.world.newNode({ sealing: await generateSealingKey(99) });
      await other.start();
      await first.stop();
      const second = await fixture.world.openGateway({
        storeFile: file,
        nodes: [{ url: other.url, token: NODE_TOKEN }],
      });
      expect(Buffer.from(await (await fixture.post(bytes, { payment }, second.url)).arrayBuffer()).equals(before)).to.be
        .true;
      await other.stop();
    });
  });

  describe("several enclaves", () => {
    let nodes: ScriptedNode[];
    let url: string;
    let enclaves: Enclave[];

    before(async () => {
      const authorities = new CertificateChain(testRoot());
      const measurements = { pcr0: Buffer.alloc(48, 1), pcr1: Buffer.alloc(48, 2), pcr2: Buffer.alloc(48, 3) };
      enclaves = await Promise.all([1, 2].map(() => Enclave.start({ authorities, measurements })));
      nodes = enclaves.map((enclave) =>
        fixture.world.newNode({ enclave, signer: enclave.signer, sealing: sealingKeyOfEnclave(enclave) }),
      );
      await Promise.all(nodes.map((node) => node.start()));
      const gateway = await fixture.world.openGateway({
        nodes: nodes.map((node) => ({ url: node.url, token: NODE_TOKEN })),
      });
      url = gateway.url;
    });

    after(() => Promise.all(nodes.map((node) => node.stop())));

    it("config_listsTheKeysOfAll", async () => {
      const keys = parseKeyConfigs(new Uint8Array(await (await fetch(`${url}/v1/ohttp/config`)).arrayBuffer()));
      const found = keys.map(({ publicKey }) => Buffer.from(publicKey).toString("hex"));
      expect(found).to.have.members(enclaves.map(({ sealingPublicKey }) => sealingPublicKey.toString("hex")));
    });

    it("enclaveHasToBeNamed_andIsTheOneThatAnswers", async () => {
      for (const [i, enclave] of enclaves.entries()) {
        const { bytes, secrets } = await fixture.seal(chat("which?"), sealingKeyOfEnclave(enclave));
        const unnamed = await fixture.post(bytes, {}, url);
        expect(unnamed.status).to.equal(400);
        expect(await errorCode(unnamed)).to.equal("ambiguous_key");
        const named = { "x-tee-id": enclave.teeId };
        const payment = await fixture.pay(bytes, named, { url });
        const answer = await inner(await fixture.post(bytes, { ...named, payment }, url), secrets);
        expect([answer.status, answer.body.tee_id]).to.deep.equal([200, enclave.teeId]);
        expect(nodes.map(({ inferences }) => inferences)).to.deep.equal([1, i]);
      }
    });
  });
});
