import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { toHex } from "../receipts/bytes.ts";
import type { BlobId } from "./BlobStore.ts";
import type { BlobIdReply, BlobIdRequest } from "./walrusBlobIdWorker.ts";

/** Ids kept in memory; one takes about 200 bytes. */
const CACHED_IDS = 4096;

interface Job {
  resolve(id: BlobId): void;
  reject(error: Error): void;
}

/**
 * Computes Walrus blob ids in a worker thread. An id costs more than a second of CPU whatever the size of the blob, so each content is
 * computed once: concurrent requests share one computation, and the last ids are kept by the SHA-256 of their content.
 */
class BlobIdComputer {
  readonly #ids = new Map<string, Promise<BlobId>>();
  readonly #jobs = new Map<number, Job>();
  #worker: Worker | undefined;
  #lastJob = 0;

  idOf(content: Uint8Array): Promise<BlobId> {
    const key = createHash("sha256").update(content).digest("base64");
    const known = this.#ids.get(key);
    // Re-inserted, so that the map's order is that of use.
    if (known) this.#ids.delete(key);
    const id = known ?? this.#compute(content);
    this.#ids.set(key, id);
    if (!known) {
      id.catch(() => this.#ids.delete(key));
      const [oldest] = this.#ids.keys();
      if (this.#ids.size > CACHED_IDS && oldest !== undefined) this.#ids.delete(oldest);
    }
    return id;
  }

  #compute(content: Uint8Array): Promise<BlobId> {
    return new Promise((resolve, reject) => {
      const worker = (this.#worker ??= this.#spawn());
      const request: BlobIdRequest = { job: ++this.#lastJob, content };
      this.#jobs.set(request.job, { resolve, reject });
      // The process stays alive for a computation, but not for an idle worker.
      worker.ref();
      worker.postMessage(request);
    });
  }

  #spawn(): Worker {
    const worker = new Worker(new URL("./walrusBlobIdWorker.ts", import.meta.url));
    worker.on("message", (reply: BlobIdReply) => {
      const job = this.#jobs.get(reply.job);
      this.#jobs.delete(reply.job);
      if (this.#jobs.size === 0) worker.unref();
      if ("id" in reply) job?.resolve(toHex(reply.id));
      else job?.reject(new Error(`Walrus's encoder failed: ${reply.error}`));
    });
    worker.on("error", (error) => {
      this.#worker = undefined;
      const waiting = [...this.#jobs.values()];
      this.#jobs.clear();
      for (const job of waiting) job.reject(new Error("The blob id worker failed", { cause: error }));
    });
    return worker;
  }
}

const computer = new BlobIdComputer();

/**
 * The Walrus blob id of `content` (encoding RS2, 1000 shards), as the network computes it.
 * The content must not change until the promise settles.
 */
export const walrusBlobId = (content: Uint8Array): Promise<BlobId> => computer.idOf(content);
