import type { Provider } from "ethers";
import { decodeResults, MULTICALL3, multicallInterface, type CallResult } from "./multicall.ts";
import type { Hex } from "../receipts/types.ts";

/** A call whose result is wanted. */
export interface ReadCall {
  target: string;
  callData: string;
}

interface Waiting {
  calls: readonly ReadCall[];
  resolve: (results: CallResult[]) => void;
  reject: (error: unknown) => void;
}

/** Calls in one request; above this a node may refuse it. */
const LIMIT = 500;

/** Reads the chain for many at a time: whatever is asked while a read is under way goes out together, by Multicall3. */
export class ChainReads {
  readonly #provider: Provider;
  #waiting: Waiting[] = [];
  #reading = false;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  /** Results in the order of the calls, all of one block. A call that fails does not fail the others. */
  read(calls: readonly ReadCall[]): Promise<CallResult[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ calls, resolve, reject });
      if (!this.#reading) {
        this.#reading = true;
        queueMicrotask(() => void this.#next());
      }
    });
  }

  async #next(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        const results = await this.#aggregate(group.flatMap(({ calls }) => calls));
        for (const { calls, resolve } of group) resolve(results.splice(0, calls.length));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#reading = false;
  }

  #takeGroup(): Waiting[] {
    let size = 0;
    const end = this.#waiting.findIndex(({ calls }, index) => (size += calls.length) > LIMIT && index > 0);
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
  }

  async #aggregate(calls: readonly ReadCall[]): Promise<CallResult[]> {
    const data = multicallInterface.encodeFunctionData("aggregate3", [
      calls.map((call) => ({ ...call, allowFailure: true })),
    ]) as Hex;
    return decodeResults(await this.#provider.call({ to: MULTICALL3, data }));
  }
}
