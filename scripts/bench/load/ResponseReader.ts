const HEAD_END = Buffer.from("\r\n\r\n");
const CHUNKS_END = Buffer.from("\r\n0\r\n\r\n");
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const STATUS_AT = 9;

/** An answer that was read to its end. */
export interface RawAnswer {
  status: number;
  /** Head and body; valid until the next push. */
  bytes: Buffer;
}

/**
 * Frames HTTP/1.1 answers that come one after the other on one connection, each complete before the next is asked for. It knows what
 * servers here send, no more: a length, or chunks without trailers whose data does not end like the last chunk.
 */
export class ResponseReader {
  #held: Buffer = Buffer.alloc(0);
  #total = 0;

  /** Takes bytes as they came. @returns the answer once it is whole. */
  push(chunk: Buffer): RawAnswer | undefined {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#total === 0) this.#total = wholeLength(bytes);
    const done = this.#total > 0 ? bytes.length >= this.#total : endsChunked(bytes);
    if (!done) {
      // the chunk's memory is used again by the socket
      this.#held = bytes === chunk ? Buffer.from(chunk) : bytes;
      return undefined;
    }
    this.#held = EMPTY;
    this.#total = 0;
    return { status: statusOf(bytes), bytes };
  }
}

const EMPTY = Buffer.alloc(0);

function statusOf(bytes: Buffer): number {
  const digit = (i: number): number => bytes[STATUS_AT + i]! - 48;
  return digit(0) * 100 + digit(1) * 10 + digit(2);
}

/** Bytes of head and body, or 0 where that is not known: the head is incomplete, or the body comes in chunks. */
function wholeLength(bytes: Buffer): number {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return 0;
  const length = LENGTH.exec(bytes.toString("latin1", 0, end));
  return length === null ? 0 : end + HEAD_END.length + Number(length[1]);
}

const endsChunked = (bytes: Buffer): boolean =>
  bytes.length > CHUNKS_END.length && bytes.subarray(bytes.length - CHUNKS_END.length).equals(CHUNKS_END);
