import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import {
  blobIdFromBase64Url,
  blobIdToBase64Url,
  BlobMismatchError,
  BlobNotFoundError,
  BlobTooLargeError,
  type BlobId,
  type BlobStore,
} from "./BlobStore.ts";
import { readLimited } from "./readLimited.ts";
import { DEFAULT_MAX_BLOB_BYTES } from "./StorageNode.ts";
import { walrusBlobId } from "./walrusBlobId.ts";

export interface WalrusBlobStoreOptions {
  /** e.g. `https://publisher.walrus-testnet.walrus.space`, or a StorageNode's URL. */
  publisherUrl: string;
  aggregatorUrl: string;
  /** Storage epochs to pay for; the publisher's default when not given. */
  epochs?: number;
  /** Computes the id of everything sent and received, which takes a second a blob. Only turn it off for a trusted aggregator. */
  verify?: boolean;
  /** Tries per call, the first included. */
  attempts?: number;
  /** Wait before the second try; doubles with every further one. */
  retryDelayMs?: number;
  /** For each try. */
  timeoutMs?: number;
  maxBlobBytes?: number;
}

/** The publisher or aggregator did not do what was asked, after all tries. */
export class WalrusRequestError extends Error {
  override readonly name = "WalrusRequestError";
  readonly code = "walrus_request_failed";
}

const publishedSchema = z
  .union([
    z.object({ newlyCreated: z.object({ blobObject: z.object({ blobId: z.string() }) }) }),
    z.object({ alreadyCertified: z.object({ blobId: z.string() }) }),
  ])
  .transform((reply) =>
    blobIdFromBase64Url("newlyCreated" in reply ? reply.newlyCreated.blobObject.blobId : reply.alreadyCertified.blobId),
  );

/** Blobs on Walrus, through the HTTP API of a publisher and an aggregator. */
export class WalrusBlobStore implements BlobStore {
  readonly #options: Required<Omit<WalrusBlobStoreOptions, "epochs">>;
  readonly #putUrl: URL;

  constructor(options: WalrusBlobStoreOptions) {
    this.#options = {
      verify: true,
      attempts: 5,
      retryDelayMs: 200,
      timeoutMs: 60_000,
      maxBlobBytes: DEFAULT_MAX_BLOB_BYTES,
      ...options,
    };
    this.#putUrl = new URL("/v1/blobs", options.publisherUrl);
    if (options.epochs !== undefined) this.#putUrl.searchParams.set("epochs", String(options.epochs));
  }

  async put(bytes: Uint8Array): Promise<BlobId> {
    if (bytes.length > this.#options.maxBlobBytes) throw new BlobTooLargeError(this.#options.maxBlobBytes);
    const upload = this.#request(this.#putUrl, { method: "PUT", body: Buffer.from(bytes) }, async (response) => {
      if (!response.ok) throw await unexpected(response);
      return publishedSchema.parse(await response.json());
    });
    const [published, expected] = await Promise.all([upload, this.#options.verify ? walrusBlobId(bytes) : upload]);
    if (published !== expected) throw new BlobMismatchError(expected, published);
    return published;
  }

  async get(id: BlobId): Promise<Uint8Array> {
    const bytes = await this.#request(this.#getUrl(id), {}, async (response) => {
      if (response.status === 404) throw new BlobNotFoundError(id);
      if (!response.ok) throw await unexpected(response);
      return readLimited(response, this.#options.maxBlobBytes);
    });
    if (this.#options.verify) {
      const found = await walrusBlobId(bytes);
      if (found !== id) throw new BlobMismatchError(id, found);
    }
    return bytes;
  }

  has(id: BlobId): Promise<boolean> {
    return this.#request(this.#getUrl(id), { method: "HEAD" }, async (response) => {
      if (!response.ok && response.status !== 404) throw await unexpected(response);
      return response.ok;
    });
  }

  #getUrl(id: BlobId): URL {
    return new URL(`/v1/blobs/${blobIdToBase64Url(id)}`, this.#options.aggregatorUrl);
  }

  /** Tries again after network errors, timeouts, 429 and 5xx; the answer must be read inside `read`, so that its loss counts too. */
  async #request<T>(url: URL, init: RequestInit, read: (response: Response) => Promise<T>): Promise<T> {
    const { attempts, retryDelayMs, timeoutMs } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await read(await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) }));
      } catch (error) {
        if (isFinal(error)) throw error;
        if (attempt >= attempts) {
          throw new WalrusRequestError(`Expected ${url.href} to answer within ${attempts} tries; it did not`, {
            cause: error,
          });
        }
      }
      await delay(retryDelayMs * 2 ** (attempt - 1) * (0.5 + Math.random()));
    }
  }
}

/** An answer that another try would not change. */
class RefusedError extends WalrusRequestError {}

const isFinal = (error: unknown): boolean =>
  error instanceof RefusedError || error instanceof BlobNotFoundError || error instanceof BlobTooLargeError;

async function unexpected(response: Response): Promise<Error> {
  const text = (await response.text()).slice(0, 200);
  const message = `Expected ${response.url} to succeed, found status ${response.status}: ${text}`;
  const transient = response.status === 429 || response.status >= 500;
  return transient ? new WalrusRequestError(message) : new RefusedError(message);
}
