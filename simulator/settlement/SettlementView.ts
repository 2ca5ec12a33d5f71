import type { Chain } from "../chain/connectChain.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import {
  ModelRegistry__factory,
  NodeRegistry__factory,
  ProofSettlement__factory,
  type ModelRegistry,
  type NodeRegistry,
  type ProofSettlement,
} from "../../typechain-types/index.ts";
import { contractRevertOf } from "../chain/ContractRevertError.ts";
import type { VerifierSet } from "./collectVotes.ts";
import { remembered } from "./remembered.ts";
import type { ModelTerms, SignerRecord } from "./screenReceipts.ts";

/** IProofSettlement.Status. */
export const BatchStatus = { None: 0, Pending: 1, Attested: 2, Unchallenged: 3, Rejected: 4 } as const;
export type BatchStatus = (typeof BatchStatus)[keyof typeof BatchStatus];

/** What the chain says about a batch. */
export interface BatchRecord {
  status: BatchStatus;
  /** Bitmap of the seats that approved. */
  approvals: bigint;
  /** Unix seconds. */
  postedAt: bigint;
  /** Version of the terms. */
  terms: bigint;
}

/** The terms that decide when a batch can be posted and finalised, seconds. */
export interface SettlementTerms {
  window: bigint;
  receiptDeadline: bigint;
}

export interface SettlementViewOptions {
  chain: Chain;
  settlement: Hex;
  models: Hex;
  nodes: Hex;
  /** Blocks a batch's record has to be deep before it counts, its own included. */
  confirmations?: number;
}

/** VerifierSets.MAX_SET_AGE and SUPERSEDED_GRACE, which are internal constants there. */
const MAX_SET_AGE_SECONDS = 86_400n;
const SUPERSEDED_GRACE_SECONDS = 3_600n;

/** Blocks whose logs any public node searches at once. */
const LOG_BLOCKS = 2_000;

/** What settlement needs to read from the chain. What cannot change is read once. */
export class SettlementView {
  readonly domain: SettlementDomain;
  readonly settlement: ProofSettlement;
  readonly #models: ModelRegistry;
  readonly #nodes: NodeRegistry;
  readonly #chain: Chain;
  readonly #confirmations: number;
  readonly #sets = new Map<number, Promise<VerifierSet>>();
  readonly #terms = new Map<bigint, Promise<SettlementTerms>>();

  constructor({ chain, settlement, models, nodes, confirmations = 1 }: SettlementViewOptions) {
    this.#chain = chain;
    this.#confirmations = confirmations;
    this.domain = { chainId: chain.chainId, verifyingContract: settlement.toLowerCase() as Hex };
    this.settlement = ProofSettlement__factory.connect(settlement, chain.provider);
    this.#models = ModelRegistry__factory.connect(models, chain.provider);
    this.#nodes = NodeRegistry__factory.connect(nodes, chain.provider);
  }

  /** Timestamp of the newest block, unix seconds. */
  async time(): Promise<bigint> {
    const block = await this.#chain.provider.getBlock("latest");
    return BigInt(block?.timestamp ?? 0);
  }

  /** A batch as of the newest block. */
  record(batchId: Hex): Promise<BatchRecord> {
    return this.#recordAt(batchId, "latest");
  }

  /** A batch as of the newest block that is deep enough to stay. */
  async confirmedRecord(batchId: Hex): Promise<BatchRecord> {
    if (this.#confirmations <= 1) return this.record(batchId);
    const head = await this.#chain.provider.getBlockNumber();
    return this.#recordAt(batchId, Math.max(0, head - this.#confirmations + 1));
  }

  /** The transaction that posted a batch lately; undefined when none is found. */
  async postedBy(batchId: Hex): Promise<Hex | undefined> {
    const head = await this.#chain.provider.getBlockNumber();
    const filter = this.settlement.filters.BatchSubmitted(batchId);
    const [event] = await this.settlement.queryFilter(filter, Math.max(0, head - LOG_BLOCKS));
    return event && (event.transactionHash as Hex);
  }

  async #recordAt(batchId: Hex, blockTag: number | "latest"): Promise<BatchRecord> {
    const { status, approvals, postedAt, terms } = await this.settlement.records(batchId, { blockTag });
    return { status: Number(status) as BatchStatus, approvals, postedAt, terms };
  }

  /** Number of batches ever posted, the current verifier set (0: none) and the current terms' version. */
  async state(): Promise<{ sequence: number; setId: number; terms: bigint }> {
    const { sequence, setId, terms } = await this.settlement.state();
    return { sequence: Number(sequence), setId: Number(setId), terms };
  }

  /** Last moment at which a new batch may name a set, unix seconds; undefined when there is no such set. */
  async setUsableUntil(setId: number): Promise<bigint | undefined> {
    if (setId === 0) return undefined;
    const { takenAt, supersededAt } = await this.settlement.snapshots(setId);
    if (takenAt === 0n) return undefined;
    const byAge = takenAt + MAX_SET_AGE_SECONDS;
    const byGrace = supersededAt === 0n ? byAge : supersededAt + SUPERSEDED_GRACE_SECONDS;
    return byAge < byGrace ? byAge : byGrace;
  }

  verifierSet(setId: number): Promise<VerifierSet> {
    return remembered(this.#sets, setId, async () => {
      const { signers, stakes, totalStake } = await this.settlement.verifierSet(setId);
      return { signers: signers.map((signer) => signer.toLowerCase() as Hex), stakes: [...stakes], totalStake };
    });
  }

  terms(version: bigint): Promise<SettlementTerms> {
    return remembered(this.#terms, version, async () => {
      const { window, receiptDeadline } = await this.settlement.terms(version);
      return { window, receiptDeadline };
    });
  }

  /** Terms of models as they are now: an owner may hand a model over. Unknown models are missing in the result. */
  models(modelIds: Iterable<Hex>): Promise<Map<Hex, ModelTerms>> {
    return lookUp(modelIds, async (modelId) => {
      try {
        const { royaltyTo, royaltyBps, price, modes } = await this.#models.termsOf(modelId);
        return { owner: royaltyTo.toLowerCase() as Hex, royaltyBps: Number(royaltyBps), price, modes: Number(modes) };
      } catch (error) {
        if (contractRevertOf(error)?.errorName === "ModelNotFound") return undefined;
        throw error;
      }
    });
  }

  /** Receipt keys as they are now. Unknown keys are missing in the result. */
  signers(addresses: Iterable<Hex>): Promise<Map<Hex, SignerRecord>> {
    return lookUp(addresses, async (address) => {
      const { operator, validFrom, validUntil, modes } = await this.#nodes.signers(address);
      if (BigInt(operator) === 0n) return undefined;
      return { operator: operator.toLowerCase() as Hex, validFrom, validUntil, modes: Number(modes) };
    });
  }
}

/** One read for each distinct key. */
async function lookUp<T>(keys: Iterable<Hex>, read: (key: Hex) => Promise<T | undefined>): Promise<Map<Hex, T>> {
  const found = new Map<Hex, T>();
  const one = async (key: Hex) => {
    const value = await read(key);
    if (value !== undefined) found.set(key, value);
  };
  await Promise.all([...new Set(keys)].map(one));
  return found;
}
