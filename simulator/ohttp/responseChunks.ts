import { randomBytes } from "node:crypto";
import { encodeLength, FrameSplitter, MAX_CHUNK_BYTES } from "./FrameSplitter.ts";
import type { SharedSecrets } from "./sealedRequest.ts";
import { aeadOpen, aeadSeal, answerKey, type AnswerKey } from "./sealedResponse.ts";
import { NONCE_BYTES } from "./suite.ts";

/** Additional data of the chunk that ends an answer, and of the others. */
const FINAL = Buffer.from("final", "latin1");
const NOT_FINAL = Buffer.alloc(0);

/**
 * Seals one answer chunk by chunk (draft-ietf-ohai-chunked-ohttp, section 6.2): each chunk's nonce is the answer's with the chunk's
 * number mixed in, so that none can be left out, repeated or moved; and the last is sealed as the last, so that none can be cut off.
 */
export class ChunkSealer {
  readonly #random = randomBytes(NONCE_BYTES);
  readonly #nextKey: () => AnswerKey;
  #begun = false;

  constructor({ enc, chunkedResponse }: SharedSecrets) {
    this.#nextKey = countingKeys(answerKey(chunkedResponse, enc, this.#random));
  }

  /** Bytes to send for `plaintext`: one chunk, or more when it is long. */
  seal(plaintext: Uint8Array): Buffer {
    const frames: Buffer[] = [];
    for (let at = 0; at < plaintext.length; at += MAX_CHUNK_BYTES) {
      const sealed = aeadSeal(this.#nextKey(), NOT_FINAL, plaintext.subarray(at, at + MAX_CHUNK_BYTES));
      frames.push(encodeLength(sealed.length), sealed);
    }
    return Buffer.concat([this.#opening(), ...frames]);
  }

  /** The same for the end of the answer. Nothing may be sealed after it. */
  end(plaintext: Uint8Array = NOT_FINAL): Buffer {
    const lastAt = Math.max(0, Math.ceil(plaintext.length / MAX_CHUNK_BYTES) - 1) * MAX_CHUNK_BYTES;
    const before = this.seal(plaintext.subarray(0, lastAt));
    const sealed = aeadSeal(this.#nextKey(), FINAL, plaintext.subarray(lastAt));
    return Buffer.concat([before, encodeLength(0), sealed]);
  }

  #opening(): Buffer {
    if (this.#begun) return NOT_FINAL;
    this.#begun = true;
    return this.#random;
  }
}

/** Seals a stream: every piece leaves as soon as it comes, an empty last chunk ends it. */
export async function* sealResponseChunks(
  secrets: SharedSecrets,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void> {
  const sealer = new ChunkSealer(secrets);
  for await (const piece of pieces) yield sealer.seal(piece);
  yield sealer.end();
}

/**
 * Opens a sealed stream, chunk by chunk as it comes.
 * @param pieces the answer's bytes, split in any way.
 * @throws OhttpError truncated_response when it ends before its last chunk, cannot_open for a chunk that was changed or is out of turn,
 * malformed_response. What was yielded before is genuine.
 */
export async function* openResponseChunks(
  { enc, chunkedResponse }: SharedSecrets,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void> {
  const splitter = new FrameSplitter();
  let nextKey: (() => AnswerKey) | undefined;
  const open = (sealed: Buffer, additional: Buffer): Buffer => {
    nextKey ??= countingKeys(answerKey(chunkedResponse, enc, splitter.nonce));
    return aeadOpen(nextKey(), additional, sealed);
  };
  for await (const piece of pieces) {
    for (const { sealed } of splitter.push(piece)) yield open(sealed, NOT_FINAL);
  }
  const last = open(splitter.end().sealed, FINAL);
  if (last.length > 0) yield last;
}

/** The answer's key with the nonce of chunk 0, 1, 2, …: the number, as a big-endian integer, XORed onto it. */
function countingKeys({ key, nonce }: AnswerKey): () => AnswerKey {
  let count = 0;
  const base = Buffer.from(nonce);
  const low = base.readUInt32BE(8);
  return () => {
    const mixed = Buffer.from(base);
    // far fewer chunks than 2^32 fit into any answer that is kept
    mixed.writeUInt32BE((low ^ count++) >>> 0, 8);
    return { key, nonce: mixed };
  };
}
