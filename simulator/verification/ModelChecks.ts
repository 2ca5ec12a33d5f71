import type { Hex } from "../receipts/types.ts";
import { inspectModel, requireRegistered, type ModelCheckOptions, type ModelReport } from "../zkml/checkModel.ts";
import type { ZkRegistration } from "../zkml/ZkDirectory.ts";
import type { Verdict } from "./BatchIndex.ts";
import { isProvableFault } from "../zkml/checkModel.ts";

/** Reports of right models hold no weights; those of wrong ones up to 100 kB. */
const MAX_REPORTS = 256;
/** Models that may wait for their turn; each holds nothing yet. */
const MAX_WAITING = 32;

/** More models are to be checked than wait in line. */
export class ChecksBusyError extends Error {
  override readonly name = "ChecksBusyError";
  readonly code = "busy";
}

/**
 * Checks registered models, one at a time since each takes the processor and a blob's memory, and each registration once: what is asked
 * again comes from memory. Failures to read are not kept.
 */
export class ModelChecks {
  readonly #options: ModelCheckOptions;
  readonly #reports = new Map<string, Promise<ModelReport>>();
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: ModelCheckOptions) {
    this.#options = options;
  }

  /** @throws ZkModelError when nothing is registered; ChecksBusyError; ZkKeyError; BlobUnavailableError */
  async check(modelId: Hex): Promise<ModelReport> {
    const registration = await this.#options.directory.registration(modelId);
    requireRegistered(modelId, registration);
    const name = [modelId, ...registration.commitment].join("/");
    const known = this.#reports.get(name) ?? this.#inspect(name, modelId, registration);
    return { ...(await known), registration };
  }

  #inspect(name: string, modelId: Hex, registration: ZkRegistration): Promise<ModelReport> {
    if (this.#waiting >= MAX_WAITING) throw new ChecksBusyError("Too many models are to be checked at once");
    this.#waiting++;
    const inspection = this.#turn
      .then(() => inspectModel(modelId, registration, this.#options))
      .then((report) => (verdictOn(report) === "wrong" ? report : { ...report, weights: undefined }))
      .finally(() => this.#waiting--);
    this.#turn = inspection.catch(() => this.#reports.delete(name));
    const [oldest] = this.#reports.keys();
    if (oldest && this.#reports.size >= MAX_REPORTS) this.#reports.delete(oldest);
    this.#reports.set(name, inspection);
    return inspection;
  }
}

export function verdictOn({ faults }: ModelReport): Verdict {
  if (faults.length === 0) return "right";
  return faults.some(isProvableFault) ? "wrong" : "unprovable";
}
