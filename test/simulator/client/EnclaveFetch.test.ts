import { expect } from "chai";
import { PaymentDeclinedError, VerificationError } from "../../../simulator/client/ClientError.ts";
import { EnclaveError, NoEnclaveError } from "../../../simulator/client/EnclaveError.ts";
import { TEE_FIELDS } from "../../../simulator/client/checkTeeAnswer.ts";
import type { EnclaveFetch, EnclaveFetchOptions } from "../../../simulator/client/EnclaveFetch.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import { Mode } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { testCertificate } from "../../support/tlsCertificates.ts";
import { chat, MODEL } from "../gateway/gatewayFixture.ts";
import { EnclaveFixture, type OpenedEnclave } from "./enclaveFixture.ts";
import { teeFields, type Lie, type TeeAnswer } from "./EnclaveEndpoint.ts";

describe("EnclaveFetch", () => {
  let fixture: EnclaveFixture;
  let first: OpenedEnclave;
  let second: OpenedEnclave;

  before(async function () {
    this.timeout(120_000);
    fixture = await EnclaveFixture.start();
    [first, second] = [await fixture.open(), await fixture.open()];
  });

  after(() => fixture.stop());

  beforeEach(() => {
    fixture.receipts.length = 0;
    for (const { endpoint } of [first, second]) {
      endpoint.lie = undefined;
      endpoint.requests = endpoint.paid = 0;
    }
  });

  const client = (changes: Partial<EnclaveFetchOptions> = {}): EnclaveFetch => fixture.client([first, second], changes);

  /** Asks directly, without OpenAI's client. */
  const ask = (by: EnclaveFetch, body: object): Promise<Response> =>
    by.fetch(`${by.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  const read = (by: EnclaveFetch, body: object): Promise<string> => ask(by, body).then((response) => response.text());

  async function noEnclave(work: Promise<unknown>): Promise<NoEnclaveError> {
    const error = await rejection(work);
    expect(error, String(error)).to.be.instanceOf(NoEnclaveError);
    return error as NoEnclaveError;
  }

  describe("honest enclaves", () => {
    it("chat_ofAStockClient_isVerifiedByBothSignatures", async () => {
      const answer = await fixture
        .openai(client())
        .chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Grüße 🌍" }] });
      expect(answer.choices[0]?.message.content).to.equal("Grüße 🌍");
      const [receipt] = fixture.receipts;
      expect(receipt?.signer).to.equal(first.enclave.signer.address);
      expect(receipt?.signed.receipt.mode).to.equal(Mode.Tee);
      expect(receipt?.operator).to.equal(fixture.operator.address.toLowerCase());
    });

    it("stream_ofAStockClient_isVerifiedBeforeItEnds", async () => {
      const openai = fixture.openai(client());
      let text = "";
      for await (const chunk of await openai.chat.completions.create({
        model: MODEL,
        messages: [{ role: "user", content: "one two three" }],
        stream: true,
      })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
      expect(text).to.equal("one two three");
      expect(fixture.receipts).to.have.length(1);
    });

    it("completion_ofAStockClient_isVerified", async () => {
      const { choices } = await fixture.openai(client()).completions.create({ model: MODEL, prompt: "once upon" });
      expect(choices[0]?.text).to.equal("once upon");
      expect(fixture.receipts).to.have.length(1);
    });

    it("otherRoutes_goOverTheSamePinnedConnection", async () => {
      const { data } = await fixture.openai(client()).models.list();
      expect(data[0]?.id).to.equal(MODEL);
      expect(first.endpoint.requests).to.equal(1);
    });

    it("oneEnclave_isKept_whenNothingElseIsPreferred", async () => {
      const random = fixture.client("any");
      for (let i = 0; i < 4; i++) await read(random, chat(`again ${i}`));
      expect([first.endpoint.paid, second.endpoint.paid].sort()).to.deep.equal([0, 4]);
    });

    it("image_onTheList_isUsed_andNoneOther", async () => {
      const { teeId, measurements } = first.enclave;
      const image = (await fixture.nodes.computePCRHash(measurements)) as `0x${string}`;
      await read(client({ policy: { allowTestRoot: true, pcrHashes: [image] } }), chat("listed"));
      const strict = client({ policy: { allowTestRoot: true, pcrHashes: [keccak256("another image")] } });
      const { refusals } = await noEnclave(read(strict, chat("unlisted")));
      expect(refusals.get(teeId)).to.include({ code: "unknown_image" });
    });
  });

  describe("lying enclaves", () => {
    const flip = (base64: string): string => {
      const bytes = Buffer.from(base64, "base64");
      bytes[17]! ^= 1;
      return bytes.toString("base64");
    };
    const isProof = (answer: TeeAnswer): boolean => answer.opengradient !== undefined;
    /** Changes the answer, or chunk, that carries the proof, after it was signed. */
    const afterwards =
      (change: (answer: TeeAnswer) => TeeAnswer | Promise<TeeAnswer>): Lie =>
      async (answer) => {
        const signed = await first.endpoint.proven(answer);
        return isProof(signed) ? change(signed) : signed;
      };
    const seconds = (n: number): bigint => BigInt(Math.floor(Date.now() / 1000) + n);
    const servedAtOf = (answer: TeeAnswer): bigint => BigInt(answer.opengradient!.receipt.servedAt);
    const lies: [string, string, () => Lie][] = [
      ["vanillaReceipt", "mode_refused", () => (answer) => first.endpoint.proven(answer, { mode: Mode.Vanilla })],
      [
        "receiptByAnotherEnclave",
        "unknown_signer",
        () => (answer) => first.endpoint.proven(answer, {}, { signer: second.enclave.signer }),
      ],
      [
        "receiptByAStranger",
        "unknown_signer",
        () => (answer) => first.endpoint.proven(answer, {}, { signer: signerFromKey(randomKey()) }),
      ],
      [
        "otherOutputInTheReceipt",
        "output_mismatch",
        () => (answer) => first.endpoint.proven(answer, { outputHash: keccak256("other") }),
      ],
      [
        "servedBeforeItWasAsked",
        "served_at_out_of_range",
        () => (answer) => first.endpoint.proven(answer, { servedAt: seconds(-600) }),
      ],
      [
        "servedBeforeTheEnclaveWasRegistered",
        "enclave_not_live",
        () => (answer) => first.endpoint.proven(answer, { servedAt: seconds(-290) }),
      ],
      ["noTeeFields", "missing_tee_fields", () => afterwards((answer) => ({ ...answer, ...NO_TEE_FIELDS }))],
      ["noTeeSignature", "missing_tee_fields", () => afterwards(({ tee_signature: _gone, ...answer }) => answer)],
      [
        "flippedTeeSignature",
        "tee_signature_invalid",
        () => afterwards((answer) => ({ ...answer, tee_signature: flip(answer.tee_signature!) })),
      ],
      ["emptyTeeSignature", "tee_signature_invalid", () => afterwards((answer) => ({ ...answer, tee_signature: "" }))],
      [
        "teeSignatureOverAnotherOutput",
        "tee_signature_invalid",
        () =>
          afterwards(async (answer) => {
            const { inputHash } = answer.opengradient!.receipt as { inputHash: `0x${string}` };
            const over = { inputHash, outputHash: keccak256("other"), servedAt: servedAtOf(answer) };
            const { tee_signature } = await teeFields(first.enclave, over);
            return { ...answer, ...(tee_signature !== undefined && { tee_signature }) };
          }),
      ],
      [
        "teeFieldsOfAnotherOutput",
        "tee_hash_mismatch",
        () =>
          afterwards(async (answer) => {
            const { inputHash } = answer.opengradient!.receipt as { inputHash: `0x${string}` };
            const over = { inputHash, outputHash: keccak256("other"), servedAt: servedAtOf(answer) };
            return { ...answer, ...(await teeFields(first.enclave, over)) };
          }),
      ],
      [
        "teeFieldsOfAnotherInput",
        "tee_hash_mismatch",
        () =>
          afterwards(async (answer) => {
            const { outputHash } = answer.opengradient!.receipt as { outputHash: `0x${string}` };
            const over = { inputHash: keccak256("other"), outputHash, servedAt: servedAtOf(answer) };
            return { ...answer, ...(await teeFields(first.enclave, over)) };
          }),
      ],
      [
        "teeTimestampShifted",
        "tee_timestamp_mismatch",
        () =>
          afterwards(async (answer) => {
            const { inputHash, outputHash } = answer.opengradient!.receipt as Record<
              "inputHash" | "outputHash",
              `0x${string}`
            >;
            const over = { inputHash, outputHash, servedAt: servedAtOf(answer) + 1n };
            return { ...answer, ...(await teeFields(first.enclave, over)) };
          }),
      ],
      [
        "teeTimestampChangedAfterSigning",
        "tee_timestamp_mismatch",
        () => afterwards((answer) => ({ ...answer, tee_timestamp: answer.tee_timestamp! - 1 })),
      ],
      [
        "teeIdOfAnotherEnclave",
        "tee_id_mismatch",
        () => (answer) => first.endpoint.proven(answer, {}, { enclave: second.enclave }),
      ],
      [
        "teeSignatureOfAnotherEnclave",
        "tee_signature_invalid",
        () => async (answer) => {
          const other = await first.endpoint.proven(answer, {}, { enclave: second.enclave });
          return isProof(other) ? { ...other, tee_id: first.enclave.teeId } : other;
        },
      ],
    ];
    for (const stream of [false, true]) {
      for (const [name, code, lie] of lies) {
        it(`${stream ? "stream" : "chat"}_${name}_isRefused`, async () => {
          first.endpoint.lie = lie();
          const by = client();
          const error = await rejection(read(by, chat("nothing but true words", { stream })));
          expect(error, String(error)).to.be.instanceOf(VerificationError);
          expect(error).to.include({ code });
          expect(fixture.receipts).to.have.length(0);
          // it was paid for, so nobody else is asked; but the liar is not used again
          expect([first.endpoint.paid, second.endpoint.paid]).to.deep.equal([1, 0]);
          expect(by.caught.get(first.enclave.teeId)).to.equal(error);
          await read(by, chat("by another", { stream }));
          expect([first.endpoint.paid, second.endpoint.paid]).to.deep.equal([1, 1]);
        });
      }
    }

    it("stream_teeFieldsInTwoChunks_areRefused", async () => {
      first.endpoint.lie = async (answer) =>
        isProof(answer) ? first.endpoint.proven(answer) : { ...answer, tee_signature: "AAAA" };
      const error = await rejection(read(client(), chat("two proofs", { stream: true })));
      expect(error).to.include({ code: "unreadable_answer" });
    });

    it("payment_toAnotherThanTheRegisteredPayout_isDeclined", async function () {
      this.timeout(30_000);
      const greedy = await fixture.open({ payout: `0x${"bad0".repeat(10)}` });
      const error = await rejection(read(fixture.client([greedy]), chat("pay me instead")));
      expect(error, String(error)).to.be.instanceOf(PaymentDeclinedError);
      expect(greedy.endpoint.paid).to.equal(0);
      await read(fixture.client([greedy, second]), chat("then another"));
      expect(second.endpoint.paid).to.equal(1);
    });
  });

  describe("false endpoints", () => {
    it("otherCertificate_isRefusedBeforeAnythingIsSent_andTheNextEnclaveIsUsed", async function () {
      this.timeout(30_000);
      const impostor = await fixture.open({ tls: await testCertificate() });
      const by = fixture.client([impostor, second]);
      await read(by, chat("to the right one"));
      expect(impostor.endpoint.requests).to.equal(0);
      expect(by.caught.get(impostor.enclave.teeId)).to.include({ code: "certificate_mismatch" });
      const { refusals } = await noEnclave(read(fixture.client([impostor]), chat("to nobody else")));
      expect(refusals.get(impostor.enclave.teeId)).to.be.instanceOf(EnclaveError);
    });

    it("documentOfAnotherNonce_isRefusedBeforeAnythingIsSent", async function () {
      this.timeout(30_000);
      const replaying = await fixture.open({
        routes: (app, enclave) => {
          app.get("/enclave/attestation", () => enclave.attest(Buffer.alloc(32)).toString("base64"));
        },
      });
      const by = fixture.client([replaying, second]);
      await read(by, chat("fresh"));
      expect(by.caught.get(replaying.enclave.teeId)).to.include({ code: "nonce_mismatch" });
      expect(replaying.endpoint.requests).to.equal(0);
      // who is content with the attestation on chain is served
      await read(fixture.client([replaying], { attest: "registry" }), chat("by the registry"));
    });

    it("endpointWithoutDocuments_isUsed_unlessTheyAreAskedFor", async function () {
      this.timeout(30_000);
      const silent = await fixture.open({ routes: () => undefined });
      await read(fixture.client([silent]), chat("by the registry"));
      const { refusals } = await noEnclave(read(fixture.client([silent], { attest: "fresh" }), chat("anew")));
      expect(refusals.get(silent.enclave.teeId)).to.include({ code: "attestation_missing" });
    });
  });
});

const NO_TEE_FIELDS = Object.fromEntries(TEE_FIELDS.map((name) => [name, undefined]));
