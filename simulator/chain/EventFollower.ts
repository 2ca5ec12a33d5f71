import type { Logger } from "pino";

import type { Chain } from "./connectChain.ts";
import { delay } from "./delay.ts";
import { followedLog } from "./eventSource.ts";
import type { EventSource, FollowedLog } from "./eventSource.ts";
import type { FollowedBlock, FollowerStore } from "./FollowerStore.ts";
import type { Head } from "./HeadWatcher.ts";

export interface EventFollowerOptions {
  chain: Chain;
  /** From `on`. */
  sources: readonly EventSource[];
  /** First block of interest: the address book's `startBlock`. */
  fromBlock: number;
  logger: Logger;
  /** Where to go on after a restart. Default: everything is followed again from `fromBlock`. */
  store?: FollowerStore;
  /** Stay this many blocks behind the newest. Default 0: handlers are told when a block is reorganised away. */
  confirmations?: number;
  /** Most blocks to ask for at once; less when the node refuses. Default 2,000. */
  maxBlockRange?: number;
  /** Reorganisations of up to this many blocks can be followed. Default 256. */
  keepBlocks?: number;
  /** The follower cannot go on and has ended. */
  onFatal?: (error: ReorgTooDeepError) => void;
}

/** None of the blocks remembered is part of the chain any more: it is another chain, or it changed deeper than is remembered. */
export class ReorgTooDeepError extends Error {
  override readonly name = "ReorgTooDeepError";
  readonly code = "reorg_too_deep";
}

/** The follower was stopped first. */
export class FollowerStoppedError extends Error {
  override readonly name = "FollowerStoppedError";
  readonly code = "follower_stopped";
}

/** A quiet chain writes its progress no more often than this: it costs a sync of the disk, and looking at empty blocks again costs nothing. */
const QUIET_SAVE_MS = 2_000;

const LONGEST_HANDLER_DELAY_MS = 5_000;

/**
 * Hands over every log of some events, once and in the chain's order, and remembers how far it is. Logs of blocks that are reorganised away are
 * handed over again as removed, latest first. A handler finishes before the next log comes and before progress is stored; when it rejects, it is
 * called again with the same log. A crash between a handler and the store repeats that one log after the restart.
 */
export class EventFollower {
  readonly #options: Required<Omit<EventFollowerOptions, "store" | "onFatal">>;
  readonly #store: FollowerStore | undefined;
  readonly #onFatal: ((error: ReorgTooDeepError) => void) | undefined;
  /** The last blocks looked at, ascending. The last of them may be incomplete: a crash in its midst. */
  #blocks: FollowedBlock[] = [];
  /** Blocks below are too old to be reorganised away. */
  #oldest = 0;
  #saved = { number: -1, at: 0 };
  #range: number;
  #head: Head | undefined;
  #wake = new AbortController();
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #unsubscribe: () => void = () => undefined;
  #waiting: { block: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor({ store, onFatal, ...options }: EventFollowerOptions) {
    this.#options = { confirmations: 0, maxBlockRange: 2_000, keepBlocks: 256, ...options };
    this.#store = store;
    this.#onFatal = onFatal;
    this.#range = this.#options.maxBlockRange;
  }

  /** Everything up to this block is handed over; -1 before the first. */
  get processedBlock(): number {
    return this.#tip?.number ?? -1;
  }

  start(): Promise<void> {
    if (this.#running) return Promise.resolve();
    const running = new AbortController();
    this.#running = running;
    this.#blocks = this.#store?.load() ?? [];
    this.#unsubscribe = this.#options.chain.head.subscribe((head) => {
      this.#head = head;
      this.#wake.abort();
    });
    this.#loop = this.#run(running.signal);
    return Promise.resolve();
  }

  /** Waits for the handler under way. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#running?.abort();
    this.#running = undefined;
    this.#wake.abort();
    await this.#loop;
    this.#save();
    this.#head = undefined;
    this.#rejectWaiting(new FollowerStoppedError("The event follower was stopped"));
  }

  /** Resolves when everything up to `block` is handed over. @throws FollowerStoppedError, ReorgTooDeepError */
  reached(block: number): Promise<void> {
    if (!this.#running) return Promise.reject(new FollowerStoppedError("The event follower is not running"));
    if (this.processedBlock >= block) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ block, resolve, reject }));
  }

  get #tip(): FollowedBlock | undefined {
    return this.#blocks.findLast(({ complete }) => complete);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { logger, chain } = this.#options;
    while (!signal.aborted) {
      if (!this.#wake.signal.aborted) {
        await new Promise<void>((resolve) => this.#wake.signal.addEventListener("abort", () => resolve()));
      }
      this.#wake = new AbortController();
      const head = this.#head;
      if (signal.aborted || !head) continue;
      try {
        await this.#follow(head, signal);
      } catch (error) {
        if (error instanceof ReorgTooDeepError) return this.#fail(error);
        logger.debug({ err: error }, "following the chain failed, trying again");
        await delay(chain.pollingIntervalMs, signal);
        this.#wake.abort();
      }
    }
  }

  #fail(error: ReorgTooDeepError): void {
    this.#options.logger.error({ err: error }, "the event follower has ended");
    this.#unsubscribe();
    this.#running = undefined;
    this.#rejectWaiting(error);
    this.#onFatal?.(error);
  }

  #rejectWaiting(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  async #follow(head: Head, signal: AbortSignal): Promise<void> {
    const { fromBlock, confirmations } = this.#options;
    const target = head.number - confirmations;
    if (this.#blocks.length === 0) {
      // The block before the first of interest: whatever comes is told apart from another chain by it
      const number = Math.max(fromBlock - 1, 0);
      const hash = await this.#hashOf(number);
      if (!hash) return;
      this.#complete(number, hash);
    }
    await this.#removeReorganised(head, signal);
    while (this.processedBlock < target && !signal.aborted) {
      const from = this.processedBlock + 1;
      const to = Math.min(from + this.#range - 1, target);
      const hash = to === head.number ? head.hash : await this.#hashOf(to);
      const logs = await this.#logs(from, to);
      // A reorganisation in between: the logs may be of one chain and the hash of the other
      if (!hash || (await this.#hashOf(to)) !== hash)
        throw new Error(`Block ${to} was reorganised while its logs were read`);
      if (!(await this.#handOver(logs, signal))) return;
      this.#oldest = Math.min(target - this.#options.keepBlocks, to);
      this.#complete(to, hash, logs.length > 0);
    }
  }

  async #logs(from: number, to: number): Promise<FollowedLog[]> {
    const { sources, chain, maxBlockRange } = this.#options;
    const wanted = new Set(sources.map(({ address, topic }) => address + topic));
    try {
      const logs = await chain.provider.getLogs({
        fromBlock: from,
        toBlock: to,
        address: [...new Set(sources.map(({ address }) => address))],
        topics: [[...new Set(sources.map(({ topic }) => topic))]],
      });
      this.#range = Math.min(2 * this.#range, maxBlockRange);
      return logs
        .map(followedLog)
        .filter(({ address, topics }) => wanted.has(address + (topics[0] ?? "")))
        .sort((a, b) => a.blockNumber - b.blockNumber || a.logIndex - b.logIndex);
    } catch (error) {
      // Nodes bound the range, or the number of logs in an answer, each at another figure
      this.#range = Math.max(1, this.#range >> 1);
      throw error;
    }
  }

  /** @returns false when stopped before the end. */
  async #handOver(logs: readonly FollowedLog[], signal: AbortSignal): Promise<boolean> {
    for (const log of logs) {
      const block = this.#blocks.findLast(({ number }) => number <= log.blockNumber);
      const known = block?.number === log.blockNumber ? block : undefined;
      if (known && known.hash !== log.blockHash) throw new Error(`Block ${log.blockNumber} was reorganised`);
      // Handed over before a crash in the midst of this range
      if (known?.logs.some(({ logIndex }) => logIndex === log.logIndex)) continue;
      if (!(await this.#handle(log, false, signal))) return false;
      this.#store?.addLog(log);
      this.#put({
        number: log.blockNumber,
        hash: log.blockHash,
        complete: false,
        logs: [...(known?.logs ?? []), log],
      });
    }
    return true;
  }

  /** @returns false when stopped before a handler succeeded. */
  async #handle(log: FollowedLog, removed: boolean, signal: AbortSignal): Promise<boolean> {
    const { sources, logger } = this.#options;
    const handlers = sources.filter(({ address, topic }) => address === log.address && topic === log.topics[0]);
    for (const handler of handlers) {
      for (let delayMs = 50; ; delayMs = Math.min(2 * delayMs, LONGEST_HANDLER_DELAY_MS)) {
        if (signal.aborted) return false;
        try {
          await handler.handle(log, removed);
          break;
        } catch (error) {
          logger.warn({ err: error, log, removed }, "event handler failed, trying again");
          await delay(delayMs, signal);
        }
      }
    }
    return true;
  }

  /** Takes back, latest first, what the chain no longer holds. */
  async #removeReorganised(head: Head, signal: AbortSignal): Promise<void> {
    const top = this.#blocks.at(-1);
    if (!top || head.hash === top.hash || head.parentHash === top.hash) return;
    let kept = this.#blocks.length;
    while (kept > 0 && (await this.#hashOf(this.#blocks[kept - 1]?.number ?? 0)) !== this.#blocks[kept - 1]?.hash)
      kept--;
    if (kept === 0) {
      throw new ReorgTooDeepError(
        `Expected block ${top.number} ${top.hash} or one before it on the chain, found none: it is another chain, ` +
          "or was reorganised too deeply. Start with an empty store",
      );
    }
    for (const block of this.#blocks.slice(kept).reverse()) {
      this.#options.logger.info({ block: block.number, logs: block.logs.length }, "block was reorganised away");
      for (const log of [...block.logs].reverse()) {
        if (!(await this.#handle(log, true, signal))) return;
        this.#store?.removeLog(log);
        this.#put({ ...block, complete: false, logs: block.logs.slice(0, block.logs.indexOf(log)) });
      }
      this.#store?.removeBlock(block);
      this.#blocks = this.#blocks.filter(({ number }) => number !== block.number);
    }
  }

  async #hashOf(number: number): Promise<string | undefined> {
    return (await this.#options.chain.provider.getBlock(number))?.hash ?? undefined;
  }

  /** Puts a block at the end, or in place of the last. */
  #put(block: FollowedBlock): void {
    if (this.#blocks.at(-1)?.number === block.number) this.#blocks.pop();
    this.#blocks.push(block);
  }

  #complete(number: number, hash: string, hasLogs = true): void {
    const logs = this.#blocks.find((block) => block.number === number)?.logs ?? [];
    // After a crash in the midst of a range, blocks above may be known already
    this.#blocks = [...this.#blocks.filter((block) => block.number !== number), { number, hash, complete: true, logs }]
      .filter((block) => block.number >= this.#oldest)
      .map((block) => (block.number < number ? { ...block, complete: true } : block))
      .sort((one, other) => one.number - other.number);
    if (hasLogs || performance.now() - this.#saved.at >= QUIET_SAVE_MS) this.#save();
    this.#waiting = this.#waiting.filter(({ block, resolve }) => {
      if (block <= number) resolve();
      return block > number;
    });
  }

  #save(): void {
    const tip = this.#tip;
    if (!tip || tip.number === this.#saved.number) return;
    this.#store?.complete(tip);
    this.#store?.prune(this.#oldest);
    this.#saved = { number: tip.number, at: performance.now() };
  }
}
