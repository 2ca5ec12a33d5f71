import type { G1Point } from "../curve.ts";
import type { NetworkInput } from "../circuit/emitNetwork.ts";
import { SCALAR_FIELD } from "../field.ts";
import { checkModelVector, type ModelVector } from "../modelVector.ts";
import { checkInputs } from "../packing.ts";
import type { Shape } from "../shape.ts";
import { ZkRangeError } from "../ZkError.ts";
import { ProverError } from "./ProverError.ts";
import { ProverChild } from "./ProverChild.ts";
import type { CeremonyStep, Proved, ProverResults, ProverTasks, TaskKind } from "./tasks.ts";

export interface ProverOptions {
  /** Most memory that the process may take. Default 2048; shape L needs about 900. */
  memoryMiB?: number;
  /** Longest that one task may take. Default 120,000. */
  timeoutMs?: number;
  /** Tasks that may wait; more are refused. Default 256. */
  maxWaiting?: number;
  /** After this long without work the process ends, and with it the memory it holds. Default 60,000. */
  idleMs?: number;
}

interface Job {
  kind: TaskKind;
  task: ProverTasks[TaskKind];
  resolve(result: ProverResults[TaskKind]): void;
  reject(error: ProverError): void;
}

/**
 * Makes proofs, one at a time, in a process of its own: snarkjs takes hundreds of megabytes, blocks its thread and is GPL-3.0. A task that
 * crashes the process, or takes too long or too much memory, fails alone; the next one gets a new process. An idle prover doesn't keep
 * Node alive.
 *
 * @example
 * const prover = new Prover();
 * const { proof, signals } = await prover.prove(SHAPES.S, file, { vector, inputs, context });
 * await prover.close();
 */
export class Prover {
  readonly #options: Required<ProverOptions>;
  readonly #waiting: Job[] = [];
  #running: Job | undefined;
  #child: ProverChild | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ProverOptions = {}) {
    this.#options = { memoryMiB: 2048, timeoutMs: 120_000, maxWaiting: 256, idleMs: 60_000, ...options };
  }

  /** Tasks that wait or run. */
  get load(): number {
    return this.#waiting.length + (this.#running ? 1 : 0);
  }

  /** The most memory that the running process took so far; 0 without one. */
  get peakMiB(): number {
    return this.#child?.peakMiB ?? 0;
  }

  /**
   * Proves that the model gives its output for these inputs.
   *
   * @param keyFile The shape's key, as a {@link KeyStore} gives it.
   * @throws ZkRangeError when vector, inputs or context are out of range; ProverError
   */
  async prove(shape: Shape, keyFile: string, input: NetworkInput): Promise<Proved> {
    checkModelVector(shape, input.vector);
    checkInputs(shape, input.inputs);
    if (input.context < 0n || input.context >= SCALAR_FIELD) {
      throw new ZkRangeError(`Expected a context in [0, R), found ${input.context}`);
    }
    // a plain array crosses, whatever the caller's tensor is
    const copied = { ...input, inputs: Array.from(input.inputs) };
    return this.#ask("prove", { shape: referenceTo(shape), keyFile, input: copied });
  }

  /**
   * The commitment of a model, as `commitmentOf` computes it, but ten times faster.
   *
   * @throws ZkRangeError when the vector is none of the shape; ProverError
   */
  async fold(shape: Shape, keyFile: string, vector: ModelVector): Promise<G1Point> {
    checkModelVector(shape, vector);
    return this.#ask("fold", { shape: referenceTo(shape), keyFile, vector });
  }

  /** Makes the shape's development key, always the same for a seed, and writes it. @throws ProverError */
  async setup(shape: Shape, keyFile: string, seed: string): Promise<void> {
    await this.#ask("setup", { shape: referenceTo(shape), keyFile, seed });
  }

  /** One step of a shape's phase 2; see {@link Ceremony}. @throws ProverError */
  async ceremony(shape: Shape, step: CeremonyStep): Promise<string[]> {
    return this.#ask("ceremony", { shape: referenceTo(shape), step });
  }

  /** Ends the process. Tasks that wait or run fail. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    const closed = () => new ProverError("closed", "The prover was closed before the task was done");
    for (const job of this.#waiting.splice(0)) job.reject(closed());
    this.#running?.reject(closed());
    this.#running = undefined;
    await this.#endChild();
  }

  #ask<Kind extends TaskKind>(kind: Kind, task: ProverTasks[Kind]): Promise<ProverResults[Kind]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ProverError("closed", "The prover is closed"));
      if (this.#waiting.length >= this.#options.maxWaiting) {
        return reject(new ProverError("busy", `Expected at most ${this.#options.maxWaiting} waiting tasks: try later`));
      }
      this.#waiting.push({ kind, task, resolve: resolve as Job["resolve"], reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#running || this.#closed) return;
    const job = this.#waiting.shift();
    if (!job) return this.#startIdling();
    clearTimeout(this.#idle);
    this.#running = job;
    void this.#run(job);
  }

  async #run(job: Job): Promise<void> {
    const child = (this.#child ??= new ProverChild(this.#options.memoryMiB));
    try {
      job.resolve(await child.run(job.kind, job.task, this.#options.timeoutMs));
    } catch (error) {
      job.reject(error as ProverError);
    }
    if (child.ended && this.#child === child) this.#child = undefined;
    if (this.#running === job) this.#running = undefined;
    this.#next();
  }

  #startIdling(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#endChild(), this.#options.idleMs);
    this.#idle.unref();
  }

  async #endChild(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.end();
  }
}

const referenceTo = ({ name, dims }: Shape) => ({ name, dims });
