import { z } from "zod";

import type { Hex, Mode } from "../receipts/types.ts";
import {
  SettlementView,
  type BatchRecord,
  type BatchStatus,
  type SettlementTerms,
} from "../settlement/SettlementView.ts";
import type { SettlementViewOptions } from "../settlement/SettlementView.ts";
import {
  NodeRegistry__factory,
  NodeStaking__factory,
  ZkReferee__factory,
  type NodeRegistry,
  type NodeStaking,
  type ZkReferee,
} from "../../typechain-types/index.ts";
import type { BatchViews } from "./checkBatch.ts";
import type { ZkModels } from "./ZkModels.ts";

const blockTimeSchema = z
  .object({ timestamp: z.string().regex(/^0x[0-9a-f]+$/) })
  .transform(({ timestamp }) => BigInt(timestamp));

/** INodeStaking.Role */
export const Role = { Inference: 0, Data: 1, Verifier: 2 } as const;

/** A batch's record with what a verifier has to know besides. */
export interface PostedRecord extends BatchRecord {
  /** Position among all batches ever posted. */
  sequence: number;
  /** Proven wrong once; that is as often as it goes. */
  punished: boolean;
}

export interface VerifierTerms extends SettlementTerms {
  /** Seconds after posting that a batch can be proven wrong. */
  accountability: bigint;
}

/** A seat as it is now; sets taken earlier may have another in its place. */
export interface Seat {
  operator: Hex;
  /** Whose signature is the seat's vote. */
  signer: Hex;
  /** Unix seconds; zero while taken. */
  vacatedAt: bigint;
}

export interface CurrentSet {
  /** Zero before the first. */
  setId: number;
  /** Unix seconds. */
  takenAt: bigint;
  /** Unix seconds of the last snapshot, of whatever set. */
  lastSnapshot: bigint;
}

export interface VerifierViewOptions extends SettlementViewOptions {
  zk?: ZkModels | undefined;
}

/** What verifiers read from the chain. */
export class VerifierView extends SettlementView implements BatchViews {
  readonly zk: ZkModels | undefined;
  readonly #options: VerifierViewOptions;
  readonly #nodes: NodeRegistry;
  #staking: Promise<{ contract: NodeStaking; minOperatorStake: bigint; minSeatStake: bigint }> | undefined;

  constructor(options: VerifierViewOptions) {
    super(options);
    this.#options = options;
    this.zk = options.zk;
    this.#nodes = NodeRegistry__factory.connect(options.nodes, options.chain.provider);
  }

  /**
   * No block to come is older, unix seconds. A chain that mines on demand stands still between two transactions; its pending block knows the time
   * all the same.
   */
  async nextBlockTime(): Promise<bigint> {
    const { provider } = this.#options.chain;
    // ethers refuses pending blocks: they have no number
    const ask = (tag: string): Promise<unknown> => provider.send("eth_getBlockByNumber", [tag, false]);
    const [latest, pending] = await Promise.all([ask("latest"), ask("pending").catch(() => null)]);
    const newest = blockTimeSchema.parse(latest);
    const next = blockTimeSchema.safeParse(pending).data ?? newest;
    return next > newest ? next : newest;
  }

  override async record(batchId: Hex): Promise<PostedRecord> {
    const { status, approvals, postedAt, terms, sequence, punished } = await this.settlement.records(batchId);
    return {
      status: Number(status) as BatchStatus,
      approvals,
      postedAt,
      terms,
      sequence: Number(sequence),
      punished,
    };
  }

  override async terms(version: bigint): Promise<VerifierTerms> {
    const { window, receiptDeadline, accountability } = await this.settlement.terms(version);
    return { window, receiptDeadline, accountability };
  }

  /** Whose receipts `key` signed in `mode` at unix second `servedAt`. */
  readonly operatorOf = async (key: Hex, mode: Mode, servedAt: bigint): Promise<Hex | undefined> => {
    const operator = await this.#nodes.findOperator(key, mode, servedAt);
    return BigInt(operator) === 0n ? undefined : (operator.toLowerCase() as Hex);
  };

  /** Whether the contract would take a batch of `operator` for its account and stake. */
  async canPost(operator: Hex): Promise<boolean> {
    const { contract, minOperatorStake } = await this.#stakingOnce();
    const [account, stake] = await Promise.all([
      this.settlement.accounts(operator),
      contract.activeStake(operator, Role.Inference),
    ]);
    return BigInt(account.submitter) !== 0n && stake >= minOperatorStake;
  }

  /** Who judges zk proofs now; undefined for nobody. */
  async referee(): Promise<ZkReferee | undefined> {
    const address = await this.settlement.referee();
    return BigInt(address) === 0n ? undefined : ZkReferee__factory.connect(address, this.#options.chain.provider);
  }

  async seats(): Promise<Seat[]> {
    return (await this.settlement.seats()).map(({ operator, signer, vacatedAt }) => ({
      operator: operator.toLowerCase() as Hex,
      signer: signer.toLowerCase() as Hex,
      vacatedAt,
    }));
  }

  /** Whether a seat's operator has enough active stake for the next snapshot. */
  async isStaked({ operator, vacatedAt }: Seat): Promise<boolean> {
    if (vacatedAt !== 0n) return false;
    const { contract, minSeatStake } = await this.#stakingOnce();
    return (await contract.activeStake(operator, Role.Verifier)) >= minSeatStake;
  }

  async currentSet(): Promise<CurrentSet> {
    const { setId, lastSnapshot } = await this.settlement.state();
    const { takenAt } = await this.settlement.snapshots(setId);
    return { setId: Number(setId), takenAt, lastSnapshot };
  }

  #stakingOnce() {
    this.#staking ??= this.#readStaking().catch((error: unknown) => {
      this.#staking = undefined;
      throw error;
    });
    return this.#staking;
  }

  async #readStaking() {
    const { settlement } = this;
    const [address, minOperatorStake, minSeatStake] = await Promise.all([
      settlement.staking(),
      settlement.minOperatorStake(),
      settlement.minSeatStake(),
    ]);
    const contract = NodeStaking__factory.connect(address, this.#options.chain.provider);
    return { contract, minOperatorStake, minSeatStake };
  }
}
