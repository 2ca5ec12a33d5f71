import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import type { Logger } from "pino";
import {
  BlobMismatchError,
  BlobNotFoundError,
  blobIdFromBase64Url,
  blobIdToBase64Url,
  InvalidBlobIdError,
  type BlobStore,
} from "./BlobStore.ts";
import { walrusBlobId } from "./walrusBlobId.ts";

export interface StorageNodeOptions {
  store: BlobStore;
  logger: Logger;
  /** 0 takes a free port. */
  port?: number;
  host?: string;
  /** Larger uploads are refused with 413. */
  maxBlobBytes?: number;
}

/** 10 MiB, the default of Walrus's public publishers. */
export const DEFAULT_MAX_BLOB_BYTES = 10 * 1024 * 1024;

/**
 * Serves a blob store over the HTTP API of a Walrus publisher and aggregator:
 * `PUT /v1/blobs` → `{newlyCreated: {blobObject: {blobId, size, encodingType}}}` or `{alreadyCertified: {blobId}}`,
 * `GET|HEAD /v1/blobs/:blobId` → the bytes. There is no Sui behind it: no object ids, no epochs, no price.
 */
export class StorageNode {
  readonly #options: StorageNodeOptions;
  #server: FastifyInstance | undefined;
  #url: string | undefined;

  constructor(options: StorageNodeOptions) {
    this.#options = options;
  }

  /** Base URL, once started. */
  get url(): string {
    if (!this.#url) throw new Error("Expected a started storage node, found a stopped one: call start() first");
    return this.#url;
  }

  async start(): Promise<void> {
    const { port = 0, host = "127.0.0.1" } = this.#options;
    this.#server = this.#build();
    this.#url = await this.#server.listen({ port, host });
    this.#options.logger.info({ url: this.#url }, "storage node listens");
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = this.#url = undefined;
  }

  #build(): FastifyInstance {
    const { store, logger, maxBlobBytes = DEFAULT_MAX_BLOB_BYTES } = this.#options;
    const server = Fastify({ bodyLimit: maxBlobBytes, forceCloseConnections: true });
    // A blob is bytes whatever its content type claims.
    server.removeAllContentTypeParsers();
    server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    server.get("/health", () => ({ status: "ok" }));

    server.put<{ Body: Buffer | undefined }>("/v1/blobs", async ({ body }) => {
      const bytes = body ?? Buffer.alloc(0);
      const known = await store.has(await walrusBlobId(bytes));
      const blobId = blobIdToBase64Url(await store.put(bytes));
      logger.debug({ blobId, bytes: bytes.length, known }, "stored a blob");
      if (known) return { alreadyCertified: { blobId } };
      return { newlyCreated: { blobObject: { blobId, size: bytes.length, encodingType: "RS2" } } };
    });

    server.get<{ Params: { blobId: string } }>("/v1/blobs/:blobId", async ({ params }, reply) => {
      const bytes = await store.get(blobIdFromBase64Url(params.blobId));
      // Content-addressed: what an id stands for never changes.
      return reply
        .header("cache-control", "public, max-age=31536000, immutable")
        .header("etag", `"${params.blobId}"`)
        .type("application/octet-stream")
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    });

    server.setNotFoundHandler((_request, reply) => sendError(reply, 404, "There is no such route"));
    server.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
      if (error instanceof BlobNotFoundError) return sendError(reply, 404, error.message);
      if (error instanceof InvalidBlobIdError) return sendError(reply, 400, error.message);
      if (error.statusCode !== undefined && error.statusCode < 500) {
        return sendError(reply, error.statusCode, error.message);
      }
      logger.error(error, "storage failed");
      const message = error instanceof BlobMismatchError ? error.message : "The blob store failed";
      return sendError(reply, 500, message);
    });
    return server;
  }
}

const STATUS_NAMES: Record<number, string> = { 400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "RESOURCE_EXHAUSTED" };

/** Errors in the shape of Walrus's daemon. */
const sendError = (reply: FastifyReply, code: number, message: string): FastifyReply =>
  reply.code(code).send({ error: { status: STATUS_NAMES[code] ?? "INTERNAL", code, message, details: [] } });
