import { readFile } from "node:fs/promises";

import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import { LIQUIDATION_RISK_MODEL } from "../models/liquidationRisk.ts";
import { SeededRandom } from "../models/SeededRandom.ts";
import type { InferenceNodeOptions } from "../nodes/InferenceNode.ts";
import { LocalInferenceNode } from "../nodes/LocalInferenceNode.ts";
import type { TensorReceipt } from "../receipts/tensors.ts";
import { Mode, type Hex, type SignedReceipt } from "../receipts/types.ts";
import type { SettlementFaults } from "../settlement/BatchSettler.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { BlobReader } from "../verification/BlobReader.ts";
import { Refuter } from "../verification/Refuter.ts";
import { ChainZkModels } from "../verification/ZkModels.ts";
import { KeyStore } from "../zkml/keys/KeyStore.ts";
import { Prover } from "../zkml/prover/Prover.ts";
import { publishZkModel } from "../zkml/publish/publishZkModel.ts";
import { importModel } from "../zkml/quantise/importModel.ts";
import { manifestOf } from "../zkml/quantise/ZkModel.ts";
import type { Shape } from "../zkml/shape.ts";
import { type PublishedModel, ZkDirectory } from "../zkml/ZkDirectory.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import { position } from "./workload.ts";

/** Names under which operators sell the one zk model. */
export const ZK_MODEL_ID = "opengradient/liquidation-risk-zk";
export const FORGED_MODEL_ID = "forger/liquidation-risk-zk";
export const WRONG_MODEL_ID = "bungler/liquidation-risk-zk";

const CALIBRATION = 256;
/** Of weights of the bungler's: enough that its answers differ. */
const BUNGLED_WEIGHTS = 64;

export interface SimulatedZkOptions {
  chain: Chain;
  contracts: ProtocolContracts;
  blobs: () => BlobStore;
  /** Publishes the model, with a bond. */
  owner: Participant;
  feeWei: bigint;
  royaltyBps: number;
  seed: number;
  logger: Logger;
}

/** What is proven in the simulation: one model, one prover that everybody shares, and what nodes, verifiers and clients need of them. */
export class SimulatedZk {
  readonly directory: ZkDirectory;
  readonly #options: SimulatedZkOptions;
  readonly #prover = new Prover();
  readonly #keys = new KeyStore(this.#prover);
  model!: PublishedModel;

  constructor(options: SimulatedZkOptions) {
    this.#options = options;
    const { chain, contracts, blobs } = options;
    this.directory = new ZkDirectory(chain.provider, contracts.addresses.models, blobs());
  }

  /** Brings the liquidation-risk model into a circuit, publishes it, and has the verifiers attest its commitment. */
  async publish(): Promise<Hex> {
    const { chain, contracts, blobs, owner, feeWei: priceWei, royaltyBps, seed } = this.#options;
    const onnx = await readFile(LIQUIDATION_RISK_MODEL);
    const random = new SeededRandom(seed);
    const samples = Array.from({ length: CALIBRATION }, () => position(random));
    const { model } = importModel(onnx, { samples });
    const number = await this.directory.numberOf(model.shape);
    const manifest = manifestOf(model, onnx, number);
    const modelId = await publishZkModel({
      chain,
      contracts: contracts.addresses,
      owner: owner.submitter,
      blobs: blobs(),
      model: { manifest, vector: model.vector, inputScales: model.inputScales, onnx },
      repository: { name: ZK_MODEL_ID, licence: "MIT" },
      terms: { priceWei, royaltyBps, modes: 1 << Mode.Vanilla },
      ...this.checks,
    });
    this.model = await this.directory.load(modelId);
    return modelId;
  }

  /** What commitments are recomputed with. */
  get checks() {
    const keyOf = (shape: Shape) => this.#keys.development(shape);
    return {
      keyOf,
      fold: ({ key, file }: Awaited<ReturnType<typeof keyOf>>, vector: PublishedModel["vector"]) =>
        this.#prover.fold(key.shape, file, vector),
    };
  }

  /** What a verifier checks, re-runs and refutes answers with. */
  verifierOptions(blobs: BlobStore) {
    const { chain, contracts } = this.#options;
    const { keyOf } = this.checks;
    const models = contracts.addresses.models;
    const zk = new ChainZkModels({ provider: chain.provider, models, reader: new BlobReader({ blobs }), keyOf });
    const refuter = new Refuter({ chainId: chain.chainId, models: zk, prover: this.#prover });
    return { zk, refuter, commitments: this.checks };
  }

  /** A node that proves what it is asked to prove. */
  provingNode(id: string): (options: InferenceNodeOptions) => LocalInferenceNode {
    return this.#node(id, this.model, true);
  }

  /** A node that runs other weights than those it says. */
  bunglingNode(id: string): (options: InferenceNodeOptions) => LocalInferenceNode {
    const vector = this.model.vector.map((entry, i) => (i < BUNGLED_WEIGHTS ? -entry : entry));
    return this.#node(id, { ...this.model, vector }, false);
  }

  close(): Promise<void> {
    return this.#prover.close();
  }

  #node(id: string, zk: PublishedModel, proves: boolean): (options: InferenceNodeOptions) => LocalInferenceNode {
    const offers = [{ id, modelId: zk.modelId, feeWei: this.#options.feeWei, zk }];
    const proving = { prover: this.#prover, keys: this.#keys };
    return (options) => new LocalInferenceNode({ ...options, offers, ...(proves && { proving }) });
  }
}

/** An operator that posts proofs which are none, and asks nobody. */
export const forgerFaults = (): SettlementFaults => ({
  collectVotes: false,
  tamper: (receipts: TensorReceipt[]): SignedReceipt[] =>
    receipts.map((signed): TensorReceipt => {
      const { tensors } = signed;
      if (tensors?.proof === undefined) return signed;
      const { a, b } = tensors.proof;
      return { ...signed, tensors: { ...tensors, proof: { a, b, c: a } } };
    }),
});
