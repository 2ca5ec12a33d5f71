import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FacilitatorProcessSettings, OwedPayment } from "./facilitatorProcess.ts";

const SCRIPT = fileURLToPath(new URL("./facilitatorProcess.ts", import.meta.url));

/** A facilitator in its own process, over a store that outlives it. */
export class KillableFacilitator {
  readonly #settings: FacilitatorProcessSettings;
  /** Told the key of each payment that the facilitator has taken on. */
  readonly #onAccepted: (key: string) => void;
  #process: ChildProcess | undefined;

  constructor(settings: FacilitatorProcessSettings, onAccepted: (key: string) => void) {
    this.#settings = settings;
    this.#onAccepted = onAccepted;
  }

  /** Resolves when it works. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ["--import", "tsx", SCRIPT], {
      env: { ...process.env, FACILITATOR: JSON.stringify(this.#settings) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#process = child;
    // what is written to a process that was killed is lost, and is written again to the next
    child.stdin.on("error", () => undefined);
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    child.once("exit", (code) => reject(new Error(`The facilitator process ended with ${String(code)}`)));
    createInterface(child.stdout).on("line", (line) => {
      if (line === "ready") resolve();
      else this.#onAccepted(line);
    });
    await ready;
  }

  enqueue(payment: OwedPayment): void {
    this.#process?.stdin?.write(`${JSON.stringify(payment)}\n`);
  }

  /** As a power cut would, from the process's point of view. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
}
