import { BlobTooLargeError } from "./BlobStore.ts";

/**
 * Reads the body of a response. A server cannot make us hold more than `maxBytes`, whatever length it announces.
 * @throws BlobTooLargeError
 */
export async function readLimited(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk as Uint8Array);
    length += (chunk as Uint8Array).length;
    if (length > maxBytes) throw new BlobTooLargeError(maxBytes);
  }
  return Buffer.concat(chunks, length);
}
