import { expect } from "chai";

import { awaitProof, checkProof, type ProofRequest } from "../../../simulator/client/awaitProof.ts";
import { ProofError } from "../../../simulator/client/ClientError.ts";
import { servedProofToJson } from "../../../simulator/nodes/zk/servedProof.ts";
import type { ServedProof } from "../../../simulator/nodes/zk/ProofDesk.ts";
import { Mode, type Receipt, type SignedReceipt } from "../../../simulator/receipts/types.ts";
import { keyDigest } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { proofAnswerSchema, type ProofAnswer } from "../../../simulator/zkml/proofJson.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { ZkStatus, type ZkDirectory } from "../../../simulator/zkml/ZkDirectory.ts";
import { rejection } from "../../support/rejection.ts";
import { developmentKey, provedSample, type ProvedSample } from "../../support/zk.ts";

type Proven = Extract<ProofAnswer, { status: "proven" }>;

const DOMAIN = { chainId: 31337n, verifyingContract: `0x${"5e".repeat(20)}` } as const;
const RECEIPT = {
  requestId: `0x${"01".repeat(32)}`,
  modelId: `0x${"cd".repeat(32)}`,
  payer: `0x${"a1".repeat(20)}`,
  mode: Mode.Zkml,
  fee: 1n,
  servedAt: 1_770_000_000n,
} as const;

describe("awaitProof", () => {
  let sample: ProvedSample;
  let served: ServedProof;
  let request: ProofRequest;
  let answers: [status: number, body: object][];

  before(async function () {
    this.timeout(120_000);
    const { key } = await developmentKey();
    const { requestId, modelId, payer: requester } = RECEIPT;
    const { chainId, verifyingContract: consumer } = DOMAIN;
    sample = await provedSample({ context: { chainId, consumer, requestId, modelId, requester } });
    const { shape, commitment, inWords, outWords, proof } = sample;
    served = { status: "proven", modelId, tensors: { inWords, outWords, proof }, verifyingKey: key };
    // what the registry says, and nothing of the proof's
    const directory = {
      registration: () => Promise.resolve({ status: ZkStatus.attested, shape: 1, commitment }),
      shape: () => Promise.resolve({ shape, keyHash: keyDigest(key), verifier: consumer, retired: false }),
    } as unknown as ZkDirectory;
    const send = () => {
      const [status, body] = answers.length > 1 ? answers.shift()! : answers[0]!;
      return Promise.resolve(Response.json(body, { status }));
    };
    request = { baseUrl: "http://gateway.test/v1", domain: DOMAIN, directory, timeoutMs: 500, fetch: send };
  });

  const receipt = (change: Partial<Receipt> = {}): SignedReceipt => ({
    receipt: { ...RECEIPT, inputHash: tensorHash(sample.inWords), outputHash: tensorHash(sample.outWords), ...change },
    signature: `0x${"00".repeat(64)}`,
  });
  const answer = (change: Partial<Proven> = {}): Proven => ({
    ...(proofAnswerSchema.parse(servedProofToJson(RECEIPT.requestId, served)) as Proven),
    ...change,
  });
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const error = await rejection(work);
    if (error instanceof ProofError || (error instanceof Error && "code" in error)) return String(error.code);
    throw error;
  };

  it("checkProof_ofTheReceipt_holds", async () => {
    const { outWords } = await checkProof(receipt(), answer(), request);
    expect(outWords).to.deep.equal(sample.outWords);
  });

  it("checkProof_ofAnotherRequest_isInvalid", async () => {
    const other = receipt({ requestId: `0x${"02".repeat(32)}` });
    expect(await refusal(checkProof(other, answer(), request))).to.equal("proof_invalid");
  });

  it("checkProof_forAnotherPayer_isInvalid", async () => {
    expect(await refusal(checkProof(receipt({ payer: `0x${"a2".repeat(20)}` }), answer(), request))).to.equal(
      "proof_invalid",
    );
  });

  it("checkProof_ofAnotherOutput_isAMismatch", async () => {
    const { inWords, proof } = sample;
    const outWords = sample.outWords.map((word, i) => (i === 0 ? word + 1n : word));
    const tampered = answer({ tensors: { inWords, outWords, proof } });
    expect(await refusal(checkProof(receipt(), tampered, request))).to.equal("proof_mismatch");
    // as the receipt says, but not as the model computes
    const agreeing = receipt({ outputHash: tensorHash(outWords) });
    expect(await refusal(checkProof(agreeing, tampered, request))).to.equal("proof_invalid");
  });

  it("checkProof_withAKeyOfItsOwn_isRefused", async () => {
    const { verifyingKey } = answer();
    const own = answer({ verifyingKey: { ...verifyingKey, delta2: verifyingKey.gamma2 } });
    expect(await refusal(checkProof(receipt(), own, request))).to.equal("verifying_key_mismatch");
  });

  it("awaitProof_pendingFirst_waitsForIt", async () => {
    const pending = servedProofToJson(RECEIPT.requestId, { status: "pending", ahead: 0 });
    answers = [
      [202, pending],
      [503, {}],
      [200, servedProofToJson(RECEIPT.requestId, served)],
    ];
    const { proof } = await awaitProof(receipt(), { ...request, timeoutMs: 30_000 });
    expect(proof).to.deep.equal(sample.proof);
  });

  it("awaitProof_never_timesOut", async () => {
    answers = [[202, servedProofToJson(RECEIPT.requestId, { status: "pending", ahead: 3 })]];
    expect(await refusal(awaitProof(receipt(), request))).to.equal("proof_timeout");
  });

  it("awaitProof_failed_saysSo", async () => {
    answers = [[200, servedProofToJson(RECEIPT.requestId, { status: "failed", reason: "the prover ended" })]];
    expect(await refusal(awaitProof(receipt(), request))).to.equal("proof_failed");
  });

  it("awaitProof_noProof_isUnreadable", async () => {
    answers = [[200, { status: "proven", requestId: RECEIPT.requestId }]];
    expect(await refusal(awaitProof(receipt(), request))).to.equal("proof_unreadable");
  });

  it("awaitProof_ofAnotherMode_isRefusedBeforeAsking", async () => {
    answers = [];
    expect(await refusal(awaitProof(receipt({ mode: Mode.Vanilla }), request))).to.equal("proof_mismatch");
  });
});
