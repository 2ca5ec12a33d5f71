import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import type { ProofDeskOptions } from "../../../../simulator/nodes/zk/ProofDesk.ts";
import { LocalInferenceNode } from "../../../../simulator/nodes/LocalInferenceNode.ts";
import { ReceiptStore } from "../../../../simulator/nodes/ReceiptStore.ts";
import { proofPath } from "../../../../simulator/nodes/zk/servedProof.ts";
import { type Hex, Mode } from "../../../../simulator/receipts/types.ts";
import { contextSignal } from "../../../../simulator/zkml/context.ts";
import { answerWords, quantiseRequest } from "../../../../simulator/zkml/jsonTensors.ts";
import { manifestHash } from "../../../../simulator/zkml/manifest.ts";
import { packInputs, packOutputs } from "../../../../simulator/zkml/packing.ts";
import { proofAnswerSchema, type ProofAnswer } from "../../../../simulator/zkml/proofJson.ts";
import { Prover } from "../../../../simulator/zkml/prover/Prover.ts";
import { ProverError } from "../../../../simulator/zkml/prover/ProverError.ts";
import { runModel } from "../../../../simulator/zkml/runModel.ts";
import { tensorHash } from "../../../../simulator/zkml/tensorHash.ts";
import { verifyProof } from "../../../../simulator/zkml/verifyProof.ts";
import { commitmentFor, developmentKey, prover } from "../../../support/zk.ts";
import { DOMAIN, FEE, headers, MODEL_ID, nodeOptions, PAYER, payment, post, receiptOf } from "../nodeFixture.ts";
import { ZK_INPUTS, ZK_MODEL } from "./zkModel.ts";

const PATH = "/v1/inference";
const NAME = "test/zk";
const BODY = { model: NAME, inputs: ZK_INPUTS };
const offers = [{ id: NAME, modelId: MODEL_ID, feeWei: FEE, zk: ZK_MODEL }];
const keys = { development: developmentKey };

interface Answer {
  outputs: { y: number[][] };
  opengradient: { zk: { manifestHash: string } };
  error?: { code: string };
}

/** A prover that does what it is told, when it is told. */
class ScriptedProver extends Prover {
  failures = 0;
  readonly released: Promise<void>;
  release!: () => void;

  constructor() {
    super();
    this.released = new Promise((resolve) => (this.release = resolve));
  }

  override async prove(...question: Parameters<Prover["prove"]>): ReturnType<Prover["prove"]> {
    if (this.failures-- > 0) throw new ProverError("crashed", "The prover ended");
    await this.released;
    return prover.prove(...question);
  }
}

describe("LocalInferenceNode with a zk model", () => {
  const directories: string[] = [];
  const stops: (() => Promise<void> | void)[] = [];
  after(async () => {
    for (const stop of stops.reverse()) await stop();
    await Promise.all(directories.map((path) => rm(path, { recursive: true })));
  });

  async function start(proving?: Partial<ProofDeskOptions>, store = new ReceiptStore(":memory:")) {
    const options = nodeOptions({ store, ...(proving && { proving: { prover, keys, retryMs: 1, ...proving } }) });
    const node = new LocalInferenceNode({ ...options, offers });
    await node.start();
    let running = true;
    const stop = async (): Promise<void> => {
      if (!running) return;
      running = false;
      await node.stop();
      store.close();
    };
    stops.push(stop);
    return { node, store, stop };
  }

  async function proofOf(node: { url: string }, requestId: Hex): Promise<ProofAnswer> {
    const response = await fetch(node.url + proofPath(requestId), { headers: headers() });
    return proofAnswerSchema.parse(await response.json());
  }

  /** The receipt may settle: the proof is in the store. */
  const proven = (store: ReceiptStore): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (store.unbatched(10).length === 0) return;
        end();
        resolve();
      };
      const end = store.onAdded(look);
      look();
    });

  it("vanilla_hashesTheWordsOfExactIntegers", async () => {
    const { node, store } = await start();
    const response = await post(node, PATH, BODY);
    const answer = (await response.json()) as Answer;
    expect(response.status, JSON.stringify(answer)).to.equal(200);
    const { receipt } = receiptOf(answer);
    const inputs = quantiseRequest(ZK_MODEL, ZK_INPUTS);
    const elements = runModel(ZK_MODEL.shape, ZK_MODEL.vector, inputs);
    expect(receipt.mode).to.equal(Mode.Vanilla);
    expect(receipt.inputHash).to.equal(tensorHash(packInputs(ZK_MODEL.shape, inputs)));
    expect(receipt.outputHash).to.equal(tensorHash(packOutputs(ZK_MODEL.shape, elements)));
    // what a client has to go by
    expect(tensorHash(answerWords(ZK_MODEL, answer.outputs))).to.equal(receipt.outputHash);
    expect(answer.opengradient.zk.manifestHash).to.equal(manifestHash(ZK_MODEL.manifest));
    expect(store.unbatched(1)[0]?.tensors?.inWords, "what verifiers run it again by").to.have.length(1);
  });

  it("zkml_withoutAProver_isRefused", async () => {
    const { node } = await start();
    const response = await post(node, PATH, { ...BODY, mode: "zkml" });
    expect(response.status).to.equal(400);
    expect(((await response.json()) as Answer).error?.code).to.equal("mode_not_served");
  });

  it("zkml_answersAtOnce_settlesOnceProven", async () => {
    const scripted = new ScriptedProver();
    const { node, store } = await start({ prover: scripted });
    const response = await post(node, PATH, { ...BODY, mode: "ZKML" });
    const { receipt } = receiptOf(await response.json());
    expect(receipt.mode).to.equal(Mode.Zkml);
    expect(store.unbatched(1), "a receipt without its proof").to.deep.equal([]);
    expect(await proofOf(node, receipt.requestId)).to.include({ status: "pending", ahead: 0 });

    scripted.release();
    await proven(store);
    const answer = await proofOf(node, receipt.requestId);
    if (answer.status !== "proven") throw new Error(`Expected a proof, found ${answer.status}`);
    const { chainId, verifyingContract: consumer } = DOMAIN;
    const { requestId } = receipt;
    const context = contextSignal({ chainId, consumer, requestId, modelId: MODEL_ID, requester: PAYER });
    const { proof, inWords, outWords } = answer.tensors;
    const signals = [...outWords, context, ...inWords];
    const commitment = await commitmentFor(ZK_MODEL.vector);
    expect(verifyProof(answer.verifyingKey, commitment, proof, signals)).to.equal(true);
    expect(tensorHash(outWords)).to.equal(receipt.outputHash);
    expect(store.unbatched(1)[0]?.tensors).to.deep.equal(answer.tensors);
  });

  it("zkml_queueFull_is503AndSaysWhen", async () => {
    const { node } = await start({ prover: new ScriptedProver(), maxPending: 1 });
    expect((await post(node, PATH, { ...BODY, mode: "zkml" })).status).to.equal(200);
    const response = await post(node, PATH, { ...BODY, mode: "zkml" });
    expect(response.status).to.equal(503);
    expect(Number(response.headers.get("retry-after"))).to.be.greaterThan(0);
    expect((await post(node, PATH, BODY)).status, "what needs no proof").to.equal(200);
  });

  it("zkml_restart_goesOnWithTheProof", async () => {
    const directory = await mkdtemp(join(tmpdir(), "zk-node-"));
    directories.push(directory);
    const file = join(directory, "receipts.sqlite");
    const first = await start({ prover: new ScriptedProver() }, new ReceiptStore(file));
    const { receipt } = receiptOf(await (await post(first.node, PATH, { ...BODY, mode: "zkml" })).json());
    // it must not wait for a prover that is stuck
    const prover = new ScriptedProver();
    prover.release();
    const stopped = first.stop();
    await stopped;

    const second = await start({ prover }, new ReceiptStore(file));
    await proven(second.store);
    expect((await proofOf(second.node, receipt.requestId)).status).to.equal("proven");
  });

  it("zkml_proverCrashes_isTriedAgain", async () => {
    const scripted = new ScriptedProver();
    scripted.failures = 2;
    scripted.release();
    const { node, store } = await start({ prover: scripted });
    await post(node, PATH, { ...BODY, mode: "zkml" });
    await proven(store);
    expect(store.unbatched(1)[0]?.tensors?.proof).to.not.equal(undefined);
  });

  it("zkml_proverKeepsFailing_saysSoAndNeverSettles", async () => {
    const scripted = new ScriptedProver();
    scripted.failures = 2;
    scripted.release();
    const { node, store } = await start({ prover: scripted, attempts: 2 });
    const failing = receiptOf(await (await post(node, PATH, { ...BODY, mode: "zkml" })).json()).receipt;
    const next = receiptOf(await (await post(node, PATH, { ...BODY, mode: "zkml" })).json()).receipt;
    await proven(store);
    expect(await proofOf(node, failing.requestId)).to.include({ status: "failed", reason: "The prover ended" });
    expect(store.unbatched(9).map(({ receipt }) => receipt.requestId)).to.deep.equal([next.requestId]);
  });

  for (const [what, change] of [
    ["anInputBeyondTheScale", { inputs: { x: [Array<number>(16).fill(16.001)] } }],
    ["aSecondTensor", { inputs: { ...ZK_INPUTS, z: [[1]] } }],
    ["twoRows", { inputs: { x: [...ZK_INPUTS.x, ...ZK_INPUTS.x] } }],
    ["anUnknownMode", { mode: "snark" }],
  ] as const) {
    it(`inference_${what}_is400`, async () => {
      const { node } = await start();
      const response = await post(node, PATH, { ...BODY, ...change });
      expect(response.status).to.equal(400);
    });
  }

  it("zkml_privateSettlement_isRefused", async () => {
    const { node } = await start({});
    const response = await post(node, PATH, { ...BODY, mode: "zkml" }, payment({ settlement: "private" }));
    expect(response.status).to.equal(400);
    expect(((await response.json()) as Answer).error?.code).to.equal("zkml_not_private");
  });
});
