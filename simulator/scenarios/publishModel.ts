import { readFile } from "node:fs/promises";

import { keccak256 } from "../receipts/keccak.ts";
import { Mode, type Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";

export interface ModelTerms {
  royaltyBps: number;
  /** Least fee, wei of OPG. */
  priceWei: bigint;
}

const NO_BLOB = `0x${"00".repeat(32)}` as const;

/** Stores a model's file and registers it by content. @returns its modelId. */
export async function publishFileModel(
  contracts: ProtocolContracts,
  owner: Participant,
  blobs: BlobStore,
  name: string,
  file: URL,
  terms: ModelTerms,
): Promise<Hex> {
  const bytes = await readFile(file);
  return publish(contracts, owner, name, { contentHash: keccak256(bytes), blobId: await blobs.put(bytes), ...terms });
}

/** Registers a model whose content is not ours to publish, by its name. @returns its modelId. */
export function publishNamedModel(
  contracts: ProtocolContracts,
  owner: Participant,
  name: string,
  priceWei: bigint,
): Promise<Hex> {
  return publish(contracts, owner, name, { contentHash: keccak256(name), blobId: NO_BLOB, royaltyBps: 0, priceWei });
}

async function publish(
  { models }: ProtocolContracts,
  owner: Participant,
  name: string,
  { contentHash, blobId, priceWei, royaltyBps }: ModelTerms & { contentHash: Hex; blobId: Hex },
): Promise<Hex> {
  const created = await owner.send(models.createRepository.populateTransaction(name, "MIT", ""));
  const repositoryId = models.interface.parseLog(created.logs[0]!)!.args[0] as bigint;
  const published = await owner.send(
    models.publishVersion.populateTransaction(repositoryId, {
      contentHash,
      blobId,
      price: priceWei,
      royaltyBps,
      modes: (1 << Mode.Vanilla) | (1 << Mode.Tee),
    }),
  );
  return models.interface.parseLog(published.logs[0]!)!.args[0] as Hex;
}
