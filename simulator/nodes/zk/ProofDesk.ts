import type { Logger } from "pino";

import { delay } from "../../chain/delay.ts";
import type { Hex, SettlementDomain } from "../../receipts/types.ts";
import { contextSignal, type ProofContext } from "../../zkml/context.ts";
import type { KeyStore } from "../../zkml/keys/KeyStore.ts";
import { unpackInputs } from "../../zkml/packing.ts";
import type { VerifyingKey } from "../../zkml/keys/ShapeKey.ts";
import type { ReceiptTensors, TensorProof } from "../../receipts/tensors.ts";
import type { Prover } from "../../zkml/prover/Prover.ts";
import { ProverError } from "../../zkml/prover/ProverError.ts";
import type { PublishedModel } from "../../zkml/ZkDirectory.ts";
import { NodeError } from "../NodeError.ts";
import type { PendingProof, ProofState, ProofStore } from "./ProofStore.ts";

export interface ProofDeskOptions {
  /** Makes the proofs; may be shared by nodes, closed by the caller. */
  prover: Prover;
  /** Keys of the shapes, as the registry's verifiers have them. */
  keys: Pick<KeyStore, "development">;
  /** Answers that wait for a proof, at most; more requests are refused for the time. Default 64. */
  maxPending?: number;
  /** How often a proof is tried, should the prover fail. Default 3. */
  attempts?: number;
  /** Before the second; doubles. Default 1,000. */
  retryMs?: number;
}

interface DeskParts extends ProofDeskOptions {
  domain: SettlementDomain;
  store: ProofStore;
  models: ReadonlyMap<Hex, PublishedModel>;
  /** A receipt may settle now. */
  onProven: () => void;
  logger: Logger;
}

export type ProvenTensors = ReceiptTensors & { proof: TensorProof };

/** A proof as `GET /v1/proofs/{requestId}` gives it. */
export type ServedProof =
  | Exclude<ProofState, { status: "proven" }>
  | (Extract<ProofState, { status: "proven" }> & { verifyingKey: VerifyingKey });

/** What one proof may take, for estimates of when to ask again. */
const SECONDS_PER_PROOF = 2;

/** Proves a node's answers, one after the other, oldest first. What waits is in the store, so that a restart goes on with it. */
export class ProofDesk {
  readonly #parts: Required<DeskParts>;
  readonly #waiting: PendingProof[] = [];
  #working: Promise<void> | undefined;
  #stopping = new AbortController();
  #started = false;

  constructor(parts: DeskParts) {
    this.#parts = { maxPending: 64, attempts: 3, retryMs: 1_000, ...parts };
  }

  /** Takes up what an earlier run left. */
  start(): void {
    this.#stopping = new AbortController();
    this.#waiting.splice(0, Infinity, ...this.#parts.store.pending());
    this.#started = true;
    this.#work();
  }

  /** What is under way is left for the next run. */
  async stop(): Promise<void> {
    this.#started = false;
    this.#stopping.abort();
    await this.#working;
  }

  /** @throws NodeError 503 while as many answers wait as may. */
  requireRoom(): void {
    const { maxPending } = this.#parts;
    if (this.#waiting.length < maxPending) return;
    throw new NodeError(503, "prover_busy", `${maxPending} answers wait to be proven; nothing was charged, try later`, {
      retryAfterSeconds: maxPending * SECONDS_PER_PROOF,
    });
  }

  /** Queues an answer that is in the store. */
  add(pending: PendingProof): void {
    this.#waiting.push(pending);
    this.#work();
  }

  async find(requestId: Hex): Promise<ServedProof | undefined> {
    const state = this.#parts.store.find(requestId);
    if (state?.status !== "proven") return state;
    const { shape } = this.#model(state.modelId);
    const { key } = await this.#parts.keys.development(shape);
    return { ...state, verifyingKey: key };
  }

  /**
   * Proves an answer at once, or as soon as the prover is free.
   * @param context whoever acts on the proof, and for what.
   * @throws ProverError
   */
  async prove(context: ProofContext, inWords: readonly bigint[]): Promise<ProvenTensors> {
    const { prover, keys } = this.#parts;
    const { shape, vector } = this.#model(context.modelId);
    const { file } = await keys.development(shape);
    const inputs = unpackInputs(shape, inWords);
    const proved = await prover.prove(shape, file, { vector, inputs, context: contextSignal(context) });
    return { proof: proved.proof, inWords: proved.inWords, outWords: proved.outWords };
  }

  #work(): void {
    if (!this.#started || this.#working !== undefined) return;
    this.#working = this.#drain().finally(() => {
      this.#working = undefined;
    });
  }

  async #drain(): Promise<void> {
    const { store, onProven, logger } = this.#parts;
    for (let next = this.#waiting[0]; next !== undefined && this.#started; next = this.#waiting[0]) {
      const { requestId } = next;
      const proven = await this.#tryProving(next);
      if (!this.#started) return;
      if (typeof proven === "string") {
        logger.error({ requestId, reason: proven }, "an answer cannot be proven; its receipt will not settle");
        store.fail(requestId, proven);
      } else {
        store.set(requestId, proven);
        logger.debug({ requestId }, "proven");
        onProven();
      }
      this.#waiting.shift();
    }
  }

  /** @returns the proof, or why there is none. */
  async #tryProving({ requestId, modelId, requester, tensors }: PendingProof): Promise<ProvenTensors | string> {
    const { domain, attempts, retryMs, logger } = this.#parts;
    const { chainId, verifyingContract: consumer } = domain;
    for (let attempt = 1; ; attempt++) {
      try {
        const proving = this.prove({ chainId, consumer, requestId, modelId, requester }, tensors.inWords);
        return await Promise.race([proving, this.#stopped()]);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        // a model that is not served here any more will not come back by waiting
        const final = !(error instanceof ProverError) || attempt >= attempts;
        if (final || !this.#started) return reason;
        logger.warn({ err: error, requestId, attempt }, "proof has to be tried again");
        await delay(retryMs * 2 ** (attempt - 1), this.#stopping.signal);
      }
    }
  }

  /** A node that stops does not wait for a proof: the next run makes it. */
  #stopped(): Promise<string> {
    const { signal } = this.#stopping;
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve("the node is stopping"), { once: true });
    });
  }

  #model(modelId: Hex): PublishedModel {
    const model = this.#parts.models.get(modelId);
    if (model === undefined) throw new NodeError(404, "model_not_found", `Model version ${modelId} is not served here`);
    return model;
  }
}
