import { fromHex, toHex } from "../receipts/bytes.ts";
import type { Hex } from "../receipts/types.ts";

/**
 * A Walrus blob id: 32 bytes computed from the content. As bytes32 on chain and as base64url in Walrus's own API, both are the same
 * bytes in the same order; Sui shows them as a u256 whose BCS encoding they are, i.e. as a little-endian number.
 */
export type BlobId = Hex;

/** A place where content is found by its id. Implementations never return content that does not match the id. */
export interface BlobStore {
  /** Durable when it resolves; the same content again is the same id. */
  put(bytes: Uint8Array): Promise<BlobId>;
  /** @throws BlobNotFoundError, BlobMismatchError */
  get(id: BlobId): Promise<Uint8Array>;
  has(id: BlobId): Promise<boolean>;
}

export class BlobNotFoundError extends Error {
  override readonly name = "BlobNotFoundError";
  readonly code = "blob_not_found";

  constructor(id: BlobId) {
    super(`Expected blob ${blobIdToBase64Url(id)} to be stored, found nothing`);
  }
}

/** The content found under an id, or the id returned for a content, is another one's. */
export class BlobMismatchError extends Error {
  override readonly name = "BlobMismatchError";
  readonly code = "blob_mismatch";

  constructor(expected: BlobId, found: BlobId) {
    super(`Expected the content of blob ${blobIdToBase64Url(expected)}, found that of ${blobIdToBase64Url(found)}`);
  }
}

export class BlobTooLargeError extends Error {
  override readonly name = "BlobTooLargeError";
  readonly code = "blob_too_large";

  constructor(maxBytes: number) {
    super(`Expected a blob of at most ${maxBytes} bytes, found more`);
  }
}

/** Text that is no blob id. */
export class InvalidBlobIdError extends Error {
  override readonly name = "InvalidBlobIdError";
  readonly code = "invalid_blob_id";

  constructor(text: string) {
    super(`Expected 32 bytes as base64url without padding (43 characters), found ${JSON.stringify(text.slice(0, 60))}`);
  }
}

/** The form of Walrus's HTTP API: base64url without padding, 43 characters. */
export const blobIdToBase64Url = (id: BlobId): string => fromHex(id, 32).toString("base64url");

/** @throws InvalidBlobIdError, also for the other spellings of the same bytes that base64 decoders accept. */
export function blobIdFromBase64Url(text: string): BlobId {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length !== 32 || bytes.toString("base64url") !== text) throw new InvalidBlobIdError(text);
  return toHex(bytes);
}
