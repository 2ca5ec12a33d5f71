import { delay } from "../chain/delay.ts";
import type { BlobId, BlobStore } from "../storage/BlobStore.ts";

export interface BlobReaderOptions {
  blobs: BlobStore;
  /** Tries, the first included. Default 3. */
  attempts?: number;
  /** Between the first two; doubles with every further one. Default 200. */
  retryDelayMs?: number;
  /** For one try. Default 30 s. */
  timeoutMs?: number;
}

/** A blob cannot be read now: withheld, not there yet, or its store is away. */
export class BlobUnavailableError extends Error {
  override readonly name = "BlobUnavailableError";
  readonly code = "blob_unavailable";

  constructor(id: BlobId, options: ErrorOptions) {
    super(`Expected blob ${id} to be readable`, options);
  }
}

/** Verifiers of one process want the same blobs at the same time, and hashing one takes a store about a second. */
const readsUnderWay = new WeakMap<BlobStore, Map<BlobId, Promise<Uint8Array>>>();

/** Reads blobs within a bound. */
export class BlobReader {
  readonly #options: Required<BlobReaderOptions>;

  constructor(options: BlobReaderOptions) {
    this.#options = { attempts: 3, retryDelayMs: 200, timeoutMs: 30_000, ...options };
  }

  /** @throws BlobUnavailableError; its cause is the last try's failure. */
  async read(id: BlobId): Promise<Uint8Array> {
    const { blobs, attempts, retryDelayMs, timeoutMs } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await within(timeoutMs, readOnce(blobs, id));
      } catch (cause) {
        // a read that hangs must not hold up the next try
        readsUnderWay.get(blobs)?.delete(id);
        if (attempt >= attempts) throw new BlobUnavailableError(id, { cause });
      }
      await delay(retryDelayMs * 2 ** (attempt - 1));
    }
  }
}

function readOnce(blobs: BlobStore, id: BlobId): Promise<Uint8Array> {
  const underWay = readsUnderWay.get(blobs) ?? new Map<BlobId, Promise<Uint8Array>>();
  readsUnderWay.set(blobs, underWay);
  let reading = underWay.get(id);
  if (!reading) {
    reading = blobs.get(id);
    underWay.set(id, reading);
    const forget = () => underWay.get(id) === reading && underWay.delete(id);
    reading.then(forget, forget);
  }
  return reading;
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, timer.signal).then(() => {
    throw new Error(`No answer within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}
