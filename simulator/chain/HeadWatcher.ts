import type { JsonRpcProvider } from "ethers";

import { delay } from "./delay.ts";

/** The newest block of a chain. */
export interface Head {
  readonly number: number;
  readonly hash: string;
  readonly parentHash: string;
  /** Unix seconds. */
  readonly timestamp: number;
}

export type HeadListener = (head: Head) => void;

/**
 * One poll of the newest block for everybody in the process who follows the chain. It asks only while somebody listens, and tells of every change
 * of the hash: a reorganisation to the same height, or to a lower one, is news too.
 */
export class HeadWatcher {
  readonly #provider: JsonRpcProvider;
  readonly #pollingIntervalMs: number;
  readonly #listeners = new Set<HeadListener>();
  #head: Head | undefined;
  #polling: AbortController | undefined;

  constructor(provider: JsonRpcProvider, pollingIntervalMs: number) {
    this.#provider = provider;
    this.#pollingIntervalMs = pollingIntervalMs;
  }

  /** The newest block seen while somebody listened. */
  get head(): Head | undefined {
    return this.#head;
  }

  /**
   * Calls `listener` with every new head, and soon with the present one when it is known.
   * @returns a function that ends it.
   */
  subscribe(listener: HeadListener): () => void {
    const entry: HeadListener = (head) => listener(head);
    this.#listeners.add(entry);
    if (!this.#polling) {
      this.#polling = new AbortController();
      void this.#poll(this.#polling.signal);
    } else if (this.#head) {
      const head = this.#head;
      queueMicrotask(() => this.#listeners.has(entry) && entry(head));
    }
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size === 0) this.stop();
    };
  }

  /** Ends the polling and forgets all listeners. */
  stop(): void {
    this.#listeners.clear();
    this.#polling?.abort();
    this.#polling = undefined;
    this.#head = undefined;
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const block = await this.#provider.getBlock("latest");
        if (signal.aborted) return;
        if (block?.hash && block.hash !== this.#head?.hash) {
          const head = {
            number: block.number,
            hash: block.hash,
            parentHash: block.parentHash,
            timestamp: block.timestamp,
          };
          this.#head = head;
          for (const listener of [...this.#listeners]) listener(head);
        }
      } catch {
        // The node is away; the provider has already tried several times. Whoever needs it will see that for itself.
      }
      await delay(this.#pollingIntervalMs, signal);
    }
  }
}
