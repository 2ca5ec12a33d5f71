import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";

import { ProverError } from "./ProverError.ts";
import { OUT_OF_MEMORY_EXIT, type ProverReply, type ProverResults, type ProverTasks, type TaskKind } from "./tasks.ts";

/** Of what a dying process says. */
const STDERR_KEPT = 2000;

interface Pending {
  job: number;
  resolve(result: ProverResults[TaskKind]): void;
  reject(error: ProverError): void;
}

/** One process of the prover, for one task at a time. It keeps this process alive only while it works. */
export class ProverChild {
  readonly #memoryMiB: number;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #pending: Pending | undefined;
  #lastJob = 0;
  #stderr = "";
  #ended = false;
  #timedOut = false;
  #peakMiB = 0;

  constructor(memoryMiB: number) {
    this.#memoryMiB = memoryMiB;
    this.#process = fork(new URL("./child/main.ts", import.meta.url), [String(memoryMiB)], {
      // nothing of this process's environment is the prover's business
      env: {},
      execArgv: [`--max-old-space-size=${memoryMiB}`],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#exited = once(this.#process, "exit");
    this.#process.on("message", (reply: ProverReply) => this.#onReply(reply));
    this.#process.on("error", (cause) => this.#onEnd(`cannot be started: ${cause.message}`, "crashed"));
    this.#process.on("exit", (code, signal) => this.#onExit(code, signal));
    this.#process.stderr?.on("data", (text: Buffer) => {
      this.#stderr = (this.#stderr + text.toString()).slice(-STDERR_KEPT);
    });
    this.#keepAlive(false);
  }

  /** Whether the process is gone, so that a next task needs another. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The most memory it took, as of its last answer. */
  get peakMiB(): number {
    return this.#peakMiB;
  }

  /** @throws ProverError */
  async run(kind: TaskKind, task: ProverTasks[TaskKind], timeoutMs: number): Promise<ProverResults[TaskKind]> {
    const timer = setTimeout(() => {
      this.#timedOut = true;
      this.#process.kill("SIGKILL");
    }, timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        const job = ++this.#lastJob;
        this.#pending = { job, resolve, reject };
        if (this.#ended) return this.#onEnd("has ended", "crashed");
        this.#keepAlive(true);
        this.#process.send({ job, kind, task }, (error) => {
          if (error) this.#onEnd(`cannot be reached: ${error.message}`, "crashed");
        });
      });
    } finally {
      clearTimeout(timer);
      this.#keepAlive(false);
    }
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#process.ref();
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  #onReply(reply: ProverReply): void {
    if (reply.job !== this.#pending?.job) return;
    const pending = this.#pending;
    this.#peakMiB = reply.peakMiB;
    this.#pending = undefined;
    if ("error" in reply) pending.reject(new ProverError("failed", `The prover failed: ${reply.error}`));
    else pending.resolve(reply.result);
  }

  #onExit(code: number | null, signal: string | null): void {
    if (this.#timedOut) return this.#onEnd("took too long and was ended", "timeout");
    if (code === OUT_OF_MEMORY_EXIT || this.#stderr.includes("heap out of memory")) {
      return this.#onEnd(`needs more than the ${this.#memoryMiB} MiB it may take`, "out_of_memory");
    }
    this.#onEnd(`ended with ${signal ?? `code ${code}`}: ${this.#stderr.trim() || "it said nothing"}`, "crashed");
  }

  #onEnd(what: string, reason: "crashed" | "out_of_memory" | "timeout"): void {
    this.#ended = true;
    this.#pending?.reject(new ProverError(reason, `The prover's process ${what}`));
    this.#pending = undefined;
  }

  #keepAlive(working: boolean): void {
    // the stream's type doesn't say so, but a pipe is a socket
    const stderr = this.#process.stderr as Socket | null;
    for (const handle of [this.#process, this.#process.channel, stderr]) {
      if (working) handle?.ref();
      else handle?.unref();
    }
  }
}
