import { quantile, type Slice, type SliceResult } from "../load/LoadGenerator.ts";
import { type Cell, type CellKey, type Concurrency, CONCURRENCIES, type RunningContender } from "./Contender.ts";
import { type ServerProcess, startServer } from "./childProcess.ts";
import { cpuMillis, quietMachine } from "./machine.ts";

/** A contender that is running. */
export interface Started {
  name: string;
  server: RunningContender;
  /** Answers it gave to the generator. */
  sold: number;
  /** How long it took to bring their payments to the chain. */
  drainSeconds: number;
}

export interface MeasureOptions {
  running: readonly Started[];
  /** Per cell. */
  slices: number;
  /** Of one slice. */
  seconds: number;
  /** Called with one line at a time. */
  progress: (line: string) => void;
  /** How long a slice waits for other programs to be quiet. */
  patienceMs: number;
}

/** A server answered otherwise than with 200, or requests ran out: the figures would say nothing. */
export class MeasurementError extends Error {
  override readonly name = "MeasurementError";
  readonly code = "measurement_failed";
}

/**
 * A server's code is compiled while it runs: so many answers first, or what it gives in so many seconds. Over a gateway's first 16,000 the
 * compiler's threads took a tenth of its processor time; after that an answer takes some 15 % less than among the first 8,000.
 */
const WARM_UP: Readonly<Record<Concurrency, { answers: number; seconds: number }>> = {
  1: { answers: 2_000, seconds: 4 },
  16: { answers: 14_000, seconds: 8 },
};
const WARM_UP_SLICE_SECONDS = 0.75;
/** Requests per connection before the rate is known. */
const WARM_UP_REQUESTS = 300;
/** More than a connection used in its fastest slice; a lane that runs out makes its slice void. */
const RESERVE = 1.8;
/** Of a slice in which nothing was answered, as happens while others have the machine. */
const MAX_ATTEMPTS = 3;
const QUIET_SHARE = 0.15;

interface SliceFigures {
  p50Ms: number;
  p99Ms: number;
  rps: number;
  cpuMicros: number | undefined;
  answers: number;
}

/**
 * Measures servers side by side: all run at once, each in its own process, and are asked in turn, slice by slice, so that what else happens on the
 * machine hits them alike. Connections of concurrency 1 and 16 are different ones, for a paying connection is somebody's channel.
 */
export async function measure(options: MeasureOptions): Promise<Map<CellKey, Cell>> {
  const generator = await startServer(new URL("../load/loadProcess.ts", import.meta.url));
  try {
    const all = options.running.map((contender) => new Lanes(contender, generator));
    for (const lanes of all) {
      options.progress(`warming up ${lanes.name}`);
      for (const concurrency of CONCURRENCIES) await lanes.warmUp(concurrency);
    }
    const figures = new Map<CellKey, SliceFigures[]>();
    for (let slice = 1; slice <= options.slices; slice++) {
      for (const lanes of all) {
        const line: string[] = [];
        for (const concurrency of CONCURRENCIES) {
          const key: CellKey = `${lanes.name}@${concurrency}`;
          const result = await lanes.measure(concurrency, options);
          figures.set(key, [...(figures.get(key) ?? []), result]);
          line.push(`c=${concurrency} ${result.p50Ms.toFixed(2)} ms ${result.rps.toFixed(0)}/s`);
        }
        options.progress(`slice ${slice}/${options.slices} ${lanes.name}: ${line.join(", ")}`);
      }
    }
    return new Map([...figures].map(([key, slices]) => [key, cellOf(slices)]));
  } finally {
    await generator.stop();
  }
}

/** One contender and the requests that are ready for each of its connections. */
class Lanes {
  readonly name: string;
  readonly #started: Started;
  readonly #server: RunningContender;
  readonly #generator: ServerProcess;
  readonly #ready = new Map<number, Buffer[]>();
  /** Most requests a connection sent per second. */
  readonly #rates = new Map<Concurrency, number>();

  constructor(started: Started, generator: ServerProcess) {
    this.name = started.name;
    this.#started = started;
    this.#server = started.server;
    this.#generator = generator;
  }

  async warmUp(concurrency: Concurrency): Promise<void> {
    const wanted = WARM_UP[concurrency];
    const rounds = wanted.seconds / WARM_UP_SLICE_SECONDS;
    for (let round = 0, answers = 0; round < rounds && answers < wanted.answers; round++) {
      const needed = this.#needed(concurrency, WARM_UP_SLICE_SECONDS);
      const { result } = await this.#run(concurrency, WARM_UP_SLICE_SECONDS, needed);
      this.#learn(concurrency, result);
      answers += result.latenciesMs.length;
    }
  }

  async measure(concurrency: Concurrency, { seconds, patienceMs, progress }: MeasureOptions): Promise<SliceFigures> {
    for (let attempt = 1; ; attempt++) {
      const needed = this.#needed(concurrency, seconds);
      const { result, cpuMs } = await this.#run(concurrency, seconds, needed, patienceMs);
      this.#learn(concurrency, result);
      if (result.exhausted > 0) {
        progress(`${this.name}@${concurrency}: ${needed} requests a connection did not last, again`);
        continue;
      }
      const { latenciesMs } = result;
      const answers = latenciesMs.length;
      if (answers === 0) {
        if (attempt === MAX_ATTEMPTS)
          throw new MeasurementError(`${this.name}@${concurrency}: no answer in ${seconds} s`);
        progress(`${this.name}@${concurrency}: no answer in ${seconds} s, again`);
        continue;
      }
      return {
        p50Ms: quantile(latenciesMs, 0.5),
        p99Ms: quantile(latenciesMs, 0.99),
        rps: answers / result.seconds,
        cpuMicros: cpuMs === undefined ? undefined : (cpuMs * 1_000) / result.sent.reduce((sum, n) => sum + n, 0),
        answers,
      };
    }
  }

  async #run(
    concurrency: Concurrency,
    seconds: number,
    count: number,
    patienceMs = 0,
  ): Promise<{ result: SliceResult; cpuMs: number | undefined }> {
    // connection 0 is the one of concurrency 1
    const connections = Array.from({ length: concurrency }, (_, i) => (concurrency === 1 ? 0 : i + 1));
    const lanes: Buffer[][] = [];
    for (const connection of connections) lanes.push(this.#take(connection, count));
    if (patienceMs > 0) await quietMachine(QUIET_SHARE, patienceMs);
    const { url, pids, kind } = this.#server;
    const repeat = kind === "repeatable";
    const before = pids.map(cpuMillis);
    const slice: Slice = { url, seconds, lanes: lanes.map((requests) => ({ requests, repeat })) };
    const result = await this.#generator.ask<SliceResult>(slice);
    const after = pids.map(cpuMillis);
    this.#started.sold += result.sent.reduce((sum, n) => sum + n, 0);
    await drain(this.#started);
    if (kind === "single")
      connections.forEach((connection, i) => this.#ready.get(connection)!.splice(0, result.sent[i]));
    if (kind === "perishable") this.#ready.clear();
    if (result.failed > 0) {
      const said = result.firstFailure?.slice(0, 2_000) ?? "nothing";
      throw new MeasurementError(
        `${this.name}@${concurrency}: ${result.failed} answers were not 200, the first:\n${said}`,
      );
    }
    const cpuMs = after.reduce<number | undefined>(
      (sum, ms, i) => (sum === undefined || ms === undefined ? undefined : sum + ms - before[i]!),
      pids.length === 0 ? undefined : 0,
    );
    return { result, cpuMs };
  }

  /** What is ready for a connection, filled up to `count`. */
  #take(connection: number, count: number): Buffer[] {
    const ready = this.#ready.get(connection) ?? [];
    const missing = (this.#server.kind === "repeatable" ? 1 : count) - ready.length;
    if (missing > 0) for (const request of this.#server.requests(connection, missing)) ready.push(request);
    this.#ready.set(connection, ready);
    return ready;
  }

  #needed(concurrency: Concurrency, seconds: number): number {
    return Math.ceil((this.#rates.get(concurrency) ?? 0) * seconds * RESERVE) + WARM_UP_REQUESTS;
  }

  #learn(concurrency: Concurrency, { sent, seconds }: SliceResult): void {
    this.#rates.set(concurrency, Math.max(this.#rates.get(concurrency) ?? 0, ...sent.map((n) => n / seconds)));
  }
}

/** Waits until nothing of a contender is on its way to the chain. */
export async function drain(started: Started): Promise<void> {
  const startedAt = performance.now();
  await started.server.drain?.();
  started.drainSeconds += (performance.now() - startedAt) / 1_000;
}

function cellOf(slices: readonly SliceFigures[]): Cell {
  const all = (pick: (figures: SliceFigures) => number): Float64Array => Float64Array.from(slices, pick).sort();
  const median = (pick: (figures: SliceFigures) => number): number => {
    const sorted = all(pick);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  };
  const rates = all(({ rps }) => rps);
  return {
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    rps: median(({ rps }) => rps),
    rpsRange: [rates[0]!, rates[rates.length - 1]!],
    cpuMicros: slices.some(({ cpuMicros }) => cpuMicros === undefined)
      ? undefined
      : median(({ cpuMicros }) => cpuMicros!),
    answers: slices.reduce((sum, { answers }) => sum + answers, 0),
  };
}
