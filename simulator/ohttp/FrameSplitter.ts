import { OhttpError } from "./OhttpError.ts";
import { NONCE_BYTES, TAG_BYTES } from "./suite.ts";

/** One sealed chunk of an answer. */
export interface Frame {
  /** The bytes as they came, with the length before them; the first frame's with the answer's nonce, too. */
  raw: Buffer;
  sealed: Buffer;
}

/** Plaintext of one chunk; whoever reads chunked answers has to take as much (draft, section 3). */
export const MAX_CHUNK_BYTES = 1 << 14;

/** A length as a variable-length integer of QUIC (RFC 9000, section 16), of one, two or four bytes. */
export function encodeLength(length: number): Buffer {
  if (length < 1 << 6) return Buffer.from([length]);
  if (length < 1 << 14) return Buffer.from([0x40 | (length >> 8), length & 0xff]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((0x80000000 | length) >>> 0);
  return bytes;
}

/** The length at the beginning of `bytes`, and how many it takes; undefined while they are not all there. */
function readLength(bytes: Buffer): { length: number; size: number } | undefined {
  const first = bytes[0];
  if (first === undefined) return undefined;
  const size = 1 << (first >> 6);
  if (bytes.length < size) return undefined;
  if (size === 1) return { length: first, size };
  if (size === 2) return { length: bytes.readUInt16BE(0) & 0x3fff, size };
  // eight bytes say more than any answer holds, or should have been fewer
  return { length: size === 4 ? bytes.readUInt32BE(0) & 0x3fffffff : Number.MAX_SAFE_INTEGER, size };
}

/**
 * Splits a chunked answer into its frames: nonce 32 | (length | sealed chunk)… | 0 | last sealed chunk, up to the end. It needs no key;
 * whether the last frame is the last is said by its seal only.
 */
export class FrameSplitter {
  readonly #maxSealedBytes: number;
  /** What came and is no whole frame yet. */
  #rest: Buffer = Buffer.alloc(0);
  /** Where in `#rest` the next length is: behind the nonce, at first. */
  #at = NONCE_BYTES;
  #nonce: Buffer | undefined;
  #last = false;

  constructor(maxChunkBytes = MAX_CHUNK_BYTES) {
    this.#maxSealedBytes = maxChunkBytes + TAG_BYTES;
  }

  /** The answer's nonce, known with its first frame. */
  get nonce(): Buffer {
    if (this.#nonce === undefined) throw truncated();
    return this.#nonce;
  }

  /**
   * @returns the frames that are complete by now, but never the last.
   * @throws OhttpError malformed_response
   */
  push(bytes: Uint8Array): Frame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    while (!this.#last) {
      const prefix = readLength(this.#rest.subarray(this.#at));
      if (prefix === undefined) break;
      const { length, size } = prefix;
      if (length === 0) {
        this.#last = true;
        break;
      }
      if (length > this.#maxSealedBytes || length < TAG_BYTES) {
        throw new OhttpError("malformed_response", `A chunk cannot have ${length} bytes`);
      }
      const end = this.#at + size + length;
      if (this.#rest.length < end) break;
      frames.push(this.#take(this.#at + size, end));
    }
    if (this.#last && this.#rest.length > this.#at + 1 + this.#maxSealedBytes) {
      throw new OhttpError("malformed_response", "The last chunk is too long");
    }
    return frames;
  }

  /**
   * The last frame, once all bytes came.
   * @throws OhttpError truncated_response when there is none.
   */
  end(): Frame {
    if (!this.#last || this.#rest.length < this.#at + 1 + TAG_BYTES) throw truncated();
    return this.#take(this.#at + 1, this.#rest.length);
  }

  #take(sealedAt: number, end: number): Frame {
    this.#nonce ??= this.#rest.subarray(0, NONCE_BYTES);
    const frame = { raw: this.#rest.subarray(0, end), sealed: this.#rest.subarray(sealedAt, end) };
    this.#rest = this.#rest.subarray(end);
    this.#at = 0;
    return frame;
  }
}

const truncated = (): OhttpError =>
  new OhttpError("truncated_response", "The sealed answer ended before its last chunk");
