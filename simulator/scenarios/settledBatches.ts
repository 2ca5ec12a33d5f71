import type { TensorReceipt } from "../receipts/tensors.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import { decodeBatchBlob } from "../settlement/batchBlob.ts";
import { headerOfEvent } from "../verification/headerOfEvent.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";

/** IProofSettlement.Status. */
export const BatchStatus = { none: 0n, pending: 1n, attested: 2n, unchallenged: 3n, rejected: 4n } as const;

/** A batch as chain and storage show it. */
export interface PostedBatch {
  batchId: Hex;
  header: BatchHeader;
  status: bigint;
  punished: boolean;
  receipts: TensorReceipt[];
  royalties: bigint[];
  /** Of posting it and, if it came to that, of the votes on chain. */
  gasUsed: bigint;
}

/** Every batch ever posted, read from the chain and the blob store alone. */
export async function postedBatches(network: SimulatedNetwork): Promise<PostedBatch[]> {
  const { settlement, startBlock } = network.contracts;
  const blobs = network.blobs();
  const posted = await settlement.queryFilter(settlement.filters.BatchSubmitted(), startBlock);
  const attested = await settlement.queryFilter(settlement.filters.BatchAttested(), startBlock);
  return Promise.all(
    posted.map(async (event) => {
      const batchId = event.args.batchId as Hex;
      const header = headerOfEvent(event.args.batch);
      const transactions = new Set([
        event.transactionHash,
        ...attested.filter(({ args }) => args.batchId === batchId).map(({ transactionHash }) => transactionHash),
      ]);
      const receipts = await Promise.all(
        [...transactions].map((hash) => network.chain.provider.getTransactionReceipt(hash)),
      );
      const { status, punished } = await settlement.records(batchId);
      const blob = decodeBatchBlob(await blobs.get(header.blobId));
      return {
        batchId,
        header,
        status,
        punished,
        receipts: blob.receipts,
        royalties: blob.royalties,
        gasUsed: receipts.reduce((sum, receipt) => sum + (receipt?.gasUsed ?? 0n), 0n),
      };
    }),
  );
}

/** Moves what rejected batches had locked to the protocol, as anyone may. */
export async function reclaimRejected(network: SimulatedNetwork, batches: readonly PostedBatch[]): Promise<void> {
  const { settlement } = network.contracts;
  for (const { header, royalties, status } of batches) {
    if (status !== BatchStatus.rejected) continue;
    await network.participant("treasury").send(settlement.reclaim.populateTransaction(header, royalties));
  }
}
