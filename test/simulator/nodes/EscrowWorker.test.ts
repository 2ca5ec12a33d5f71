import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";
import { ethers, type Signer } from "ethers";
import { pino } from "pino";

import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { type EscrowRequest, escrowRequestSchema } from "../../../simulator/nodes/escrowRequest.ts";
import { EscrowStore } from "../../../simulator/nodes/EscrowStore.ts";
import { EscrowWorker, type EscrowWorkerOptions } from "../../../simulator/nodes/EscrowWorker.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { inputHash } from "../../../simulator/receipts/hashes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { chatRequestText, inferenceRequestText } from "../../../simulator/receipts/requestText.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { BlobNotFoundError, type BlobStore } from "../../../simulator/storage/BlobStore.ts";
import { hexAddress } from "../../support/batches.ts";
import { increaseTime, latestTimestamp, opgWei, publishModel } from "../../support/protocol.ts";
import { createSettlementWorld, eventually, type SettlementWorld } from "../settlement/settlementWorld.ts";
import { nodeOptions } from "./nodeFixture.ts";

const silent = pino({ level: process.env.LOG_LEVEL ?? "silent" });
const INPUT = inferenceRequestText(
  JSON.stringify({ model: LIQUIDATION_RISK_ID, inputs: { positions: [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]] } }),
);
const MAX_FEE = opgWei(3);
const FEE = opgWei(2);
const Status = { Locked: 1n, Fulfilled: 2n, Refunded: 3n };

/** Blobs by the hash of their content, at once: a real Walrus id takes a second to compute. */
class QuickBlobs implements BlobStore {
  readonly #blobs = new Map<Hex, Uint8Array>();
  put(bytes: Uint8Array): Promise<Hex> {
    this.#blobs.set(keccak256(bytes), bytes);
    return Promise.resolve(keccak256(bytes));
  }
  get(id: Hex): Promise<Uint8Array> {
    const bytes = this.#blobs.get(id);
    return bytes === undefined ? Promise.reject(new BlobNotFoundError(id)) : Promise.resolve(bytes);
  }
  has(id: Hex): Promise<boolean> {
    return Promise.resolve(this.#blobs.has(id));
  }
}

describe("EscrowWorker", function () {
  this.timeout(60_000);
  let world: SettlementWorld;
  let node: LocalInferenceNode;
  let submitter: TransactionSubmitter;
  let payer: Signer;
  let directory: string;
  let file: string;
  let blobs: QuickBlobs;
  let salts = 0;
  const stops: (() => Promise<unknown> | void)[] = [];

  before(async () => {
    world = await createSettlementWorld();
    payer = world.bystanders[0] as Signer;
    node = new LocalInferenceNode({
      ...nodeOptions({
        domain: world.hasher.domain,
        operator: world.operatorAddress,
        signer: signerFromKey(world.nodeKey.privateKey as Hex),
        logger: silent,
      }),
      offers: [{ id: LIQUIDATION_RISK_ID, modelId: world.modelId, feeWei: FEE, source: LIQUIDATION_RISK_MODEL }],
    });
    await node.start();
    submitter = await world.startSubmitter();
  });
  after(async () => {
    await node.stop();
    node.store.close();
    await world.close();
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "escrow-worker-"));
    file = join(directory, "escrow.sqlite");
    blobs = new QuickBlobs();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
    rmSync(directory, { recursive: true });
  });

  const store = () => {
    const opened = new EscrowStore(file);
    stops.push(() => opened.close());
    return opened;
  };
  const start = async (options: Partial<EscrowWorkerOptions> = {}) => {
    const worker = new EscrowWorker({
      chain: world.chain,
      escrow: await hexAddress(world.escrow),
      domain: world.hasher.domain,
      fromBlock: fromBlock,
      node,
      blobs,
      submitter,
      store: options.store ?? store(),
      logger: silent,
      retryMs: 10,
      ...options,
    });
    stops.push(() => worker.stop());
    await worker.start();
    return worker;
  };
  let fromBlock = 0;
  beforeEach(async () => {
    fromBlock = await world.chain.provider.getBlockNumber();
  });

  /** Locks a request for the world's operator; the input is stored unless told otherwise. */
  const lock = async (fields: Partial<EscrowRequest> = {}, input = INPUT) => {
    const request: EscrowRequest = {
      payer: await hexAddress(payer),
      operator: world.operatorAddress,
      modelId: world.modelId,
      inputHash: keccak256(input),
      inputBlobId: await blobs.put(Buffer.from(input)),
      maxFee: MAX_FEE,
      deadline: BigInt(await latestTimestamp(world)) + 3600n,
      mode: 0,
      royaltyTo: await hexAddress(world.modelOwner),
      royaltyBps: 1_000n,
      salt: ethers.toBeHex(salts++, 32) as Hex,
      ...fields,
    };
    await world.escrow.connect(payer).lock(request);
    return { request, requestId: (await world.escrow.requestIdOf(request)) as Hex };
  };
  const statusOf = async (requestId: Hex) => (await world.escrow.locks(requestId)).status;
  const fulfilled = (requestId: Hex) => eventually(async () => (await statusOf(requestId)) === Status.Fulfilled);
  const eventOf = async (requestId: Hex) => {
    const [event] = await world.escrow.queryFilter(world.escrow.filters.RequestFulfilled(requestId));
    if (event === undefined) throw new Error("no RequestFulfilled event");
    return event.args;
  };

  it("request_served_isPaidAndTheOutputIsStored", async () => {
    const [operatorBefore, payerBefore] = [
      await world.escrow.credits(world.operator),
      await world.escrow.credits(payer),
    ];
    await start({ blobs: world.blobs });
    const { requestId } = await lock({ inputBlobId: await world.blobs.put(Buffer.from(INPUT)) });
    await fulfilled(requestId);

    const { outputHash, outputBlobId, fee, signer } = await eventOf(requestId);
    const output = await world.blobs.get(outputBlobId as Hex);
    expect(keccak256(output)).to.equal(outputHash);
    expect(JSON.parse(Buffer.from(output).toString()))
      .to.have.nested.property("risk[0][0]")
      .that.is.within(0.01, 0.5);
    expect(fee).to.equal(FEE);
    expect(signer.toLowerCase()).to.equal(node.signer.address);
    // 1 % goes to the protocol and 10 % to the model's owner; what was locked beyond the fee goes back.
    expect((await world.escrow.credits(world.operator)) - operatorBefore).to.equal((FEE * 89n) / 100n);
    expect((await world.escrow.credits(payer)) - payerBefore).to.equal(MAX_FEE - FEE);
    expect(node.store.unbatched(10), "escrow receipts must not get into batches").to.deep.equal([]);
  });

  it("request_canonicalChat_hashesLikeTheHttpRequest", async () => {
    const modelId = (await publishModel(world, world.modelOwner, { royaltyBps: 1_000 })) as Hex;
    const chat = new LlmProxyNode({
      ...nodeOptions({ operator: node.operator, signer: node.signer, domain: world.hasher.domain }),
      upstreams: [localUpstream()],
      offers: [{ id: LOCAL_TEXT_MODEL_ID, modelId, feeWei: FEE }],
    });
    const body = JSON.stringify({
      model: LOCAL_TEXT_MODEL_ID,
      messages: [{ role: "user", content: "What is OPG?" }],
      max_tokens: 6,
    });
    await start({ node: chat });
    const { request, requestId } = await lock({ modelId }, chatRequestText(body));
    expect(request.inputHash).to.equal(inputHash("chat", body));
    await fulfilled(requestId);
    const output = await blobs.get((await eventOf(requestId)).outputBlobId as Hex);
    expect(Buffer.from(output).toString()).to.equal("OPG is the token of the");
    chat.store.close();
  });

  it("requestsLockedWhileDown_areFoundAfterTheStart", async () => {
    const worker = await start();
    const first = await lock();
    await fulfilled(first.requestId);
    await worker.stop();
    const missed = await Promise.all([lock(), lock(), lock()]);
    await worker.start();
    await Promise.all(missed.map(({ requestId }) => fulfilled(requestId)));
  });

  it("crash_afterTheAnswer_theStoredOneIsSent", async () => {
    let runs = 0;
    const counting: EscrowWorkerOptions["node"] = {
      operator: node.operator,
      signer: node.signer,
      mode: node.mode,
      offers: node.offers,
      infer: (...request) => {
        runs += 1;
        return node.infer(...request);
      },
    };
    // A submitter that was never started sends nothing: as far as a process gets that dies there.
    const dead = new TransactionSubmitter({ chain: world.chain, signer: world.nodeKey, logger: silent });
    const before = store();
    const worker = await start({ node: counting, submitter: dead, store: before });
    const { requestId } = await lock();
    await eventually(() => before.get(requestId)?.answer !== undefined);
    await worker.stop();
    const answer = before.get(requestId)?.answer;

    await start({ node: counting });
    await fulfilled(requestId);
    expect(runs).to.equal(1);
    expect((await eventOf(requestId)).outputHash).to.equal(answer?.receipt.receipt.outputHash);
  });

  it("input_storedLater_isServedThen", async () => {
    const late = new QuickBlobs();
    const worker = store();
    await start({ blobs: late, store: worker });
    const { requestId } = await lock();
    await eventually(() => worker.get(requestId)?.state === "open");
    expect(await statusOf(requestId)).to.equal(Status.Locked);
    await late.put(Buffer.from(INPUT));
    await fulfilled(requestId);
    await eventually(() => worker.get(requestId)?.state === "fulfilled");
  });

  const otherModel = JSON.stringify({ model: "opengradient/other", inputs: {} });
  const notServed: [what: string, reason: RegExp, make: () => Promise<{ requestId: Hex }>][] = [
    ["wrongHash", /input hashes to/, () => lock({ inputHash: ethers.id("another input") as Hex })],
    ["notARequest", /not the body of a request/, () => lock({}, "hello")],
    ["otherModelInside", /"opengradient\/other" is not served/, () => lock({}, otherModel)],
    ["badInputs", /is missing/, () => lock({}, JSON.stringify({ model: LIQUIDATION_RISK_ID, inputs: {} }))],
    ["lowFee", /pays \d+ wei/, () => lock({ maxFee: FEE - 1n })],
    ["teeMode", /mode 2 is not served/, () => lock({ mode: 2 })],
    [
      "unknownModel",
      /model is not served/,
      async () => lock({ modelId: (await publishModel(world, world.modelOwner, { royaltyBps: 1_000 })) as Hex }),
    ],
  ];
  for (const [what, reason, make] of notServed) {
    it(`request_${what}_isLeftToExpire`, async () => {
      const jobs = store();
      await start({ store: jobs });
      const { requestId } = await make();
      await eventually(() => jobs.get(requestId)?.state === "ignored");
      expect(jobs.get(requestId)?.reason).to.match(reason);
      expect(await statusOf(requestId)).to.equal(Status.Locked);
    });
  }

  it("request_ofAnotherOperator_isNotTouched", async () => {
    const jobs = store();
    const worker = await start({ store: jobs });
    const { requestId } = await lock({ operator: await hexAddress(world.challenger) });
    const { requestId: ours } = await lock();
    await fulfilled(ours);
    await worker.stop();
    expect(jobs.get(requestId)).to.equal(undefined);
  });

  it("request_expiredWhileDown_isRefundable", async () => {
    const { request, requestId } = await lock();
    await increaseTime(world, 3700);
    const jobs = store();
    await start({ store: jobs });
    await eventually(() => jobs.get(requestId)?.state === "ignored");
    expect(jobs.get(requestId)?.reason).to.equal("its deadline has passed");
    await world.escrow.connect(world.challenger).refund(request);
    await eventually(() => jobs.get(requestId)?.state === "refunded");
  });

  it("requestSchema_storedForm_readsBack", async () => {
    const { request, requestId } = await lock({ operator: await hexAddress(world.challenger) });
    const jobs = store();
    jobs.add(requestId, request);
    expect(jobs.get(requestId)?.request).to.deep.equal(request);
    expect(escrowRequestSchema.safeParse({ ...request, mode: 3 }).success).to.equal(false);
  });
});
