import { z } from "zod";

import { proofOf, tensorReceiptSchema, tensorReceiptToJson, type TensorReceipt } from "../receipts/tensors.ts";
import {
  addressSchema,
  bytes32Schema,
  signedReceiptSchema,
  type Hex,
  type SettlementDomain,
} from "../receipts/types.ts";

/** What a batch's blob holds: everything needed to check the header against. */
export interface BatchBlob {
  domain: SettlementDomain;
  operator: Hex;
  /** In the order of the tree's leaves. */
  receipts: TensorReceipt[];
  /** Packed words, see royalties.ts. */
  royalties: bigint[];
}

/** Receipts alone. */
export const BATCH_FORMAT = "opengradient-batch-1";
/** Receipts of which some show their tensors, and those of mode ZKML their proofs. */
export const TENSOR_BATCH_FORMAT = "opengradient-batch-2";

/** A receipt takes about 600 bytes, so without tensors this also keeps a blob below 10 MiB; see `fittingReceipts`. */
export const MAX_BATCH_RECEIPTS = 16_384;
export const MAX_BATCH_BYTES = 10 * 1024 * 1024;

/** The bytes are no batch blob, or more than anybody has to read. */
export class InvalidBatchBlobError extends Error {
  override readonly name = "InvalidBatchBlobError";
  readonly code = "invalid_batch_blob";
}

const blobFields = {
  chainId: z.int().positive(),
  settlement: addressSchema,
  operator: addressSchema,
  royalties: z.array(bytes32Schema).max(MAX_BATCH_RECEIPTS),
};
const blobSchema = z
  .discriminatedUnion("format", [
    z.strictObject({
      ...blobFields,
      format: z.literal(BATCH_FORMAT),
      receipts: z.array(signedReceiptSchema).min(1).max(MAX_BATCH_RECEIPTS),
    }),
    z.strictObject({
      ...blobFields,
      format: z.literal(TENSOR_BATCH_FORMAT),
      receipts: z.array(tensorReceiptSchema).min(1).max(MAX_BATCH_RECEIPTS),
    }),
  ])
  .transform(({ chainId, settlement, operator, receipts, royalties }): BatchBlob => ({
    domain: { chainId: BigInt(chainId), verifyingContract: settlement },
    operator,
    receipts,
    royalties: royalties.map(BigInt),
  }));

/**
 * UTF-8 JSON: {format, chainId, settlement, operator, receipts, royalties}. The same batch is the same bytes: the second format is for batches
 * that need it.
 */
export function encodeBatchBlob({ domain, operator, receipts, royalties }: BatchBlob): Uint8Array {
  const json = {
    format: receipts.some(({ tensors }) => tensors) ? TENSOR_BATCH_FORMAT : BATCH_FORMAT,
    chainId: Number(domain.chainId),
    settlement: domain.verifyingContract,
    operator,
    receipts: receipts.map(tensorReceiptToJson),
    royalties: royalties.map((word) => `0x${word.toString(16).padStart(64, "0")}`),
  };
  return Buffer.from(JSON.stringify(json));
}

/** @throws InvalidBatchBlobError; it says what is wrong first. */
export function decodeBatchBlob(bytes: Uint8Array): BatchBlob {
  if (bytes.length > MAX_BATCH_BYTES) {
    throw new InvalidBatchBlobError(`Expected at most ${MAX_BATCH_BYTES} bytes, found ${bytes.length}`);
  }
  const result = blobSchema.safeParse(parseUtf8Json(bytes));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new InvalidBatchBlobError(`Expected a batch: ${issue?.path.join(".")}: ${issue?.message}`);
}

/** For everything in a blob but receipts and royalties. */
const FRAME_BYTES = 512;
/** A royalty word as JSON; a receipt adds one at most. */
const ROYALTY_BYTES = 69;

/** As many of the receipts, from the first, as a blob holds; at least one. */
export function fittingReceipts<T extends TensorReceipt>(receipts: readonly T[]): T[] {
  let left = MAX_BATCH_BYTES - FRAME_BYTES;
  const overflow = receipts.findIndex((signed) => {
    left -= JSON.stringify(tensorReceiptToJson(signed)).length + 1 + ROYALTY_BYTES;
    return left < 0;
  });
  return overflow < 0 ? [...receipts] : receipts.slice(0, Math.max(overflow, 1));
}

/**
 * The order of receipts in a batch: those with a proof first, so that leaf and proof are always children of one node; then by model and
 * request, so that all of a model's fees lie together.
 */
export function inBatchOrder<T extends TensorReceipt>(receipts: readonly T[]): T[] {
  const key = (signed: TensorReceipt) =>
    `${proofOf(signed) ? 0 : 1}${signed.receipt.modelId}${signed.receipt.requestId}`;
  return receipts
    .map((signed) => ({ signed, key: key(signed) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ signed }) => signed);
}

function parseUtf8Json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new InvalidBatchBlobError("Expected JSON in UTF-8", { cause });
  }
}
