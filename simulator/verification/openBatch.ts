import type { SettlementHasher } from "../receipts/eip712.ts";
import { leafPositions, SumTree } from "../receipts/sumTree.ts";
import type { TensorReceipt } from "../receipts/tensors.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import { decodeBatchBlob, InvalidBatchBlobError } from "../settlement/batchBlob.ts";

/** A header with what its blob holds. Nothing is checked but that the blob is this operator's, under this settlement. */
export interface OpenBatch {
  /** EIP-712 digest of the header. */
  id: Hex;
  header: BatchHeader;
  /** In leaf order. */
  receipts: readonly TensorReceipt[];
  /** Where their leaves are among the tree's lowest nodes: proofs stand between them. */
  positions: readonly number[];
  /** Packed words (owner 160 | amount 96). */
  royalties: readonly bigint[];
  /** What the receipts add up to, whatever the header claims. */
  tree: SumTree;
}

/** @throws InvalidBatchBlobError when the blob is not a batch, or one of another operator or settlement. */
export function openBatch(hasher: SettlementHasher, header: BatchHeader, blob: Uint8Array): OpenBatch {
  const { domain, operator, receipts, royalties } = decodeBatchBlob(blob);
  const { chainId, verifyingContract } = hasher.domain;
  if (domain.chainId !== chainId || domain.verifyingContract !== verifyingContract.toLowerCase()) {
    throw new InvalidBatchBlobError(
      `Expected a batch for ${verifyingContract} on chain ${chainId}, found one for ${domain.verifyingContract} on ${domain.chainId}`,
    );
  }
  if (operator !== header.operator) {
    throw new InvalidBatchBlobError(`Expected receipts of ${header.operator}, found receipts of ${operator}`);
  }
  return {
    id: hasher.batchDigest(header),
    header,
    receipts,
    positions: leafPositions(receipts),
    royalties,
    tree: SumTree.ofReceipts(receipts),
  };
}
