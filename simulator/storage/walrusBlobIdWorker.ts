import { parentPort } from "node:worker_threads";
import { BlobEncoder } from "@mysten/walrus-wasm";

/** Walrus's committee size on mainnet and testnet. The id depends on it. */
const SHARDS = 1000;

export interface BlobIdRequest {
  job: number;
  content: Uint8Array;
}

export type BlobIdReply = { job: number } & ({ id: Uint8Array } | { error: string });

const encoder = new BlobEncoder(SHARDS);

parentPort?.on("message", ({ job, content }: BlobIdRequest) => {
  let reply: BlobIdReply;
  try {
    const [id] = encoder.compute_metadata(content) as [number[]];
    reply = { job, id: Uint8Array.from(id) };
  } catch (error) {
    reply = { job, error: String(error) };
  }
  parentPort?.postMessage(reply);
});
