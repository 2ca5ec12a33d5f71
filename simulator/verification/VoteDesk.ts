import { delay } from "../chain/delay.ts";
import type { SettlementHasher } from "../receipts/eip712.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import { BatchStatus } from "../settlement/SettlementView.ts";
import type { BatchIndex } from "./BatchIndex.ts";
import { BlobUnavailableError, type BlobReader } from "./BlobReader.ts";
import { checkBatch } from "./checkBatch.ts";
import { describeFault, type Fault } from "./Fault.ts";
import { firstLiveUse, sharedRequests, type PriorUse } from "./priorUse.ts";
import type { OpenBatch } from "./openBatch.ts";
import type { PostedRecord, VerifierView } from "./VerifierView.ts";

export interface Vote {
  /** In the set that the header names. */
  seat: number;
  /** 64 bytes `r ‖ vs` over the batch id. */
  signature: Hex;
}

export type RefusalCode =
  /** The voter has no seat in the header's set. */
  | "not_seated"
  /** The contract takes no batch for this set any more, or not for long. */
  | "set_not_usable"
  /** The operator has no submitter, or too little stake. */
  | "operator_not_ready"
  | "served_in_future"
  /** Too old to be posted in time. */
  | "too_old"
  /** The header wants more searched for duplicates than could be. */
  | "seen_ahead"
  /** Posted already, and past voting. */
  | "already_decided"
  | "blob_unavailable"
  | "faulty_batch"
  /** A request has settled in another batch. */
  | "duplicate"
  /** A vote for another batch with one of the requests can still be used. */
  | "vote_outstanding"
  /** No commitment of the model is on chain, or not any more. */
  | "not_registered"
  | "faulty_model"
  /** The verifier has no key of the model's shape, or checks no models. */
  | "key_unavailable"
  | "busy";

/** A vote is not given. */
export class VoteRefusedError extends Error {
  override readonly name = "VoteRefusedError";
  readonly code: RefusalCode;
  readonly faults: readonly Fault[];

  constructor(code: RefusalCode, message: string, { faults = [], cause }: { faults?: Fault[]; cause?: unknown } = {}) {
    super(message, { cause });
    this.code = code;
    this.faults = faults;
  }
}

export interface VoteDeskOptions {
  index: BatchIndex;
  view: VerifierView;
  hasher: SettlementHasher;
  reader: BlobReader;
  voter: Signer;
  /** Waits, within its own bound, until the operator's batches up to `sequence` are followed and read. */
  searched: (operator: Hex, sequence: number) => Promise<void>;
}

/** Seconds a batch needs from the vote to the chain. */
const POSTING_MARGIN = 60n;
/** Seconds worth waiting for the clock to pass the last receipt. */
const PATIENCE = 2n;
const CLOCK_POLL_MS = 250;
const CLOCK_POLLS = 8;
/** Each takes the memory of a blob and its receipts. */
const MAX_DECIDING = 32;

/**
 * Decides on votes before batches are posted. A voter answers with its stake for what it could have known, so it signs nothing that could turn
 * out wrong later: no receipt dated where a key may still be revoked, no search for duplicates it has not made.
 */
export class VoteDesk {
  readonly #options: VoteDeskOptions;
  readonly #deciding = new Set<Promise<Vote>>();
  /** Last steps of decisions, one at a time, so that no two overlook each other's requests. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: VoteDeskOptions) {
    this.#options = options;
  }

  /** The same header gets the same vote again. @throws VoteRefusedError */
  async vote(header: BatchHeader): Promise<Vote> {
    if (this.#deciding.size >= MAX_DECIDING) throw new VoteRefusedError("busy", "Too many votes are asked for at once");
    const decision = this.#decide(header);
    this.#deciding.add(decision);
    try {
      return await decision;
    } finally {
      this.#deciding.delete(decision);
    }
  }

  /** Resolves when nothing is being decided. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#deciding);
  }

  async #decide(header: BatchHeader): Promise<Vote> {
    const { index, view, hasher } = this.#options;
    const batchId = hasher.batchDigest(header);
    const seat = await this.#seatIn(header.setId);
    const given = index.voteOn(batchId);
    if (given) return { seat, signature: given };

    const record = await this.#requireOpen(batchId, header);
    await this.#requireSearched(header);
    const blob = await this.#read(header.blobId);
    const { batch, faults } = await checkBatch(hasher, view, header, blob);
    if (!batch || faults.length > 0) {
      throw new VoteRefusedError("faulty_batch", faults.map(describeFault).join("; "), { faults });
    }
    const signing = this.#turn.then(() => this.#sign(batch, blob, record));
    this.#turn = signing.catch(() => undefined);
    return { seat, signature: await signing };
  }

  /** Signs, and stores the vote before it leaves, unless one of the requests is in another batch. */
  async #sign(batch: OpenBatch, blob: Uint8Array, record: PostedRecord): Promise<Hex> {
    const { index, voter } = this.#options;
    const cleared = new Set<Hex>();
    for (;;) {
      // Batches may be indexed while the chain is asked about others.
      const uses = sharedRequests(index, batch).filter(({ batchId }) => !cleared.has(batchId));
      if (uses.length === 0) break;
      await this.#requireUnused(uses, record);
      for (const { batchId } of uses) cleared.add(batchId);
    }
    const signature = voter.sign(batch.id);
    const requestIds = batch.receipts.map(({ receipt }) => receipt.requestId);
    index.addVote(batch.id, batch.header, signature, { blob, requestIds });
    return signature;
  }

  async #seatIn(setId: number): Promise<number> {
    const { view, voter } = this.#options;
    if ((await view.setUsableUntil(setId)) === undefined) {
      throw new VoteRefusedError("set_not_usable", `Expected a verifier set, found none with number ${setId}`);
    }
    const seat = (await view.verifierSet(setId)).signers.indexOf(voter.address);
    if (seat < 0) throw new VoteRefusedError("not_seated", `${voter.address} has no seat in verifier set ${setId}`);
    return seat;
  }

  /** Whether a vote can still be used: on a batch to be posted, or on one that waits for votes. */
  async #requireOpen(batchId: Hex, header: BatchHeader): Promise<PostedRecord> {
    const { view } = this.#options;
    const record = await view.record(batchId);
    if (record.status === BatchStatus.None) {
      await this.#requirePostable(header);
      return record;
    }
    const { window } = await view.terms(record.terms);
    if (record.status !== BatchStatus.Pending || (await view.nextBlockTime()) > record.postedAt + window) {
      throw new VoteRefusedError("already_decided", `Batch ${batchId} is past voting`);
    }
    return record;
  }

  async #requirePostable({ operator, setId, servedFrom, servedTo }: BatchHeader): Promise<void> {
    const { view } = this.#options;
    const [usableUntil, { terms }, isReady] = await Promise.all([
      view.setUsableUntil(setId),
      view.state(),
      view.canPost(operator),
    ]);
    if (!isReady) {
      throw new VoteRefusedError("operator_not_ready", `${operator} has no submitter, or too little stake to post`);
    }
    const { receiptDeadline } = await view.terms(terms);
    let now = await view.nextBlockTime();
    // A key revoked in the next block is not valid for that second any more, so that second has to be over.
    for (let polls = 0; servedTo >= now && servedTo - now < PATIENCE && polls < CLOCK_POLLS; polls++) {
      await delay(CLOCK_POLL_MS);
      now = await view.nextBlockTime();
    }
    if (servedTo >= now) {
      throw new VoteRefusedError("served_in_future", `Expected receipts served before ${now}, found ${servedTo}`);
    }
    if (servedFrom > servedTo || servedFrom + receiptDeadline < now + POSTING_MARGIN) {
      const earliest = now + POSTING_MARGIN - receiptDeadline;
      throw new VoteRefusedError("too_old", `Expected receipts served since ${earliest}, found ${servedFrom}`);
    }
    if ((usableUntil ?? 0n) < now + POSTING_MARGIN) {
      throw new VoteRefusedError("set_not_usable", `Verifier set ${setId} is not usable after ${usableUntil}`);
    }
  }

  async #requireSearched({ operator, seen }: BatchHeader): Promise<void> {
    const { index, searched } = this.#options;
    if (seen > index.searchable(operator)) await searched(operator, seen);
    const searchable = index.searchable(operator);
    if (seen > searchable) {
      throw new VoteRefusedError(
        "seen_ahead",
        `Expected a header that counts on a search up to batch ${searchable} at most, found ${seen}`,
      );
    }
  }

  async #read(blobId: Hex): Promise<Uint8Array> {
    try {
      return await this.#options.reader.read(blobId);
    } catch (cause) {
      if (!(cause instanceof BlobUnavailableError)) throw cause;
      throw new VoteRefusedError("blob_unavailable", cause.message, { cause });
    }
  }

  async #requireUnused(uses: readonly PriorUse[], record: PostedRecord): Promise<void> {
    const { view } = this.#options;
    const isPosted = record.status !== BatchStatus.None;
    const prior = await firstLiveUse(view, uses, isPosted ? record.sequence : Infinity);
    if (prior) {
      throw new VoteRefusedError("duplicate", `Request ${prior.requestId} is in batch ${prior.batchId} already`);
    }
    if (isPosted) return;
    for (const use of uses) {
      if (!(await this.#isOutstanding(use))) continue;
      throw new VoteRefusedError(
        "vote_outstanding",
        `Request ${use.requestId} is in batch ${use.batchId}, which has our vote and can still be posted`,
      );
    }
  }

  /** Whether the batch that has our vote may yet be posted with it. */
  async #isOutstanding({ batchId }: PriorUse): Promise<boolean> {
    const { view, index } = this.#options;
    const header = index.contentsOf(batchId)?.header;
    const { status } = await view.record(batchId);
    if (!header || status !== BatchStatus.None || !index.voteOn(batchId)) return false;
    const [usableUntil = 0n, { terms }, now] = await Promise.all([
      view.setUsableUntil(header.setId),
      view.state(),
      view.nextBlockTime(),
    ]);
    const { receiptDeadline } = await view.terms(terms);
    return now <= usableUntil && now <= header.servedFrom + receiptDeadline;
  }
}
