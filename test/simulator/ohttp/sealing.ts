import { OhttpError, type OhttpCode } from "../../../simulator/ohttp/OhttpError.ts";
import type { SealingKey } from "../../../simulator/ohttp/keyConfig.ts";
import { openRequest, sealRequest, type SharedSecrets } from "../../../simulator/ohttp/sealedRequest.ts";

/** The code of the OhttpError that `work` ends with; undefined when it succeeds. */
export async function codeOf(work: () => unknown): Promise<OhttpCode | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof OhttpError) return error.code;
    throw error;
  }
  return undefined;
}

/** A copy with one bit turned. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1 << (at % 8);
  return copy;
}

/** What client and server hold after one request. */
export async function exchange(key: SealingKey): Promise<{ client: SharedSecrets; server: SharedSecrets }> {
  const { bytes, secrets } = await sealRequest(key, Buffer.from("a request"));
  return { client: secrets, server: (await openRequest(key, bytes)).secrets };
}

export async function* piecesOf(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
