import type { LiveRun } from "../load/liveClient.ts";

/** A server that is running and can be measured. */
export interface RunningContender {
  url: string;
  /** Of the processes whose CPU time counts as the server's. */
  pids: readonly number[];
  /**
   * How often a request can be sent: again and again, once, or once and soon.
   * Of the first kind one is enough; of the last those that are left of a slice are thrown away.
   */
  kind: "repeatable" | "single" | "perishable";
  /** Takes the next requests for one connection; the server accepts them in this order. */
  requests(connection: number, count: number): Buffer[];
  /** How users reach it, each by a client of theirs. */
  live: readonly Omit<LiveRun, "seconds">[];
  /** Waits until no payment is on its way to the chain, so that none takes time from who is measured next. */
  drain?(): Promise<void>;
  /** Brings to the chain what is not there yet, and says what was sold and settled. */
  settlement?(): Promise<Settlement>;
  stop(): Promise<void>;
}

/** Where the money is at the end. */
export interface Settlement {
  /** Payments, or channels, whose money is on chain with the seller. */
  onChain: number;
  /** What they are. */
  unit: "payments" | "sessions" | "channels";
  /** Those that are not. */
  waiting: number;
}

/** Something to be measured, beside others. */
export interface Contender {
  /** Key in the JSON, before "@" and the concurrency. */
  name: string;
  /** What it is, in a few words. */
  title: string;
  start(): Promise<RunningContender>;
}

/** What was measured of one contender at one concurrency. Medians over the slices. */
export interface Cell {
  p50Ms: number;
  p99Ms: number;
  /** Answers with 200 per second. */
  rps: number;
  /** Lowest and highest slice. */
  rpsRange: [number, number];
  /** CPU time of the server per answer; undefined where the system does not tell. */
  cpuMicros: number | undefined;
  answers: number;
}

export const CONCURRENCIES = [1, 16] as const;
export type Concurrency = (typeof CONCURRENCIES)[number];

/** "bare@1", … */
export type CellKey = `${string}@${Concurrency}`;
