import { z } from "zod";

import {
  addressSchema,
  bytes32Schema,
  signedReceiptSchema,
  signedReceiptToJson,
  type Hex,
  type SettlementDomain,
  type SignedReceipt,
} from "../receipts/types.ts";

/** What a batch's blob holds: everything needed to check the header against. */
export interface BatchBlob {
  domain: SettlementDomain;
  operator: Hex;
  /** In the order of the tree's leaves. */
  receipts: SignedReceipt[];
  /** Packed words, see royalties.ts. */
  royalties: bigint[];
}

export const BATCH_FORMAT = "opengradient-batch-1";

/** A receipt takes about 600 bytes, so this also keeps a blob below 10 MiB. */
export const MAX_BATCH_RECEIPTS = 16_384;
export const MAX_BATCH_BYTES = 10 * 1024 * 1024;

/** The bytes are no batch blob, or more than anybody has to read. */
export class InvalidBatchBlobError extends Error {
  override readonly name = "InvalidBatchBlobError";
  readonly code = "invalid_batch_blob";
}

const blobSchema = z
  .strictObject({
    format: z.literal(BATCH_FORMAT),
    chainId: z.int().positive(),
    settlement: addressSchema,
    operator: addressSchema,
    receipts: z.array(signedReceiptSchema).min(1).max(MAX_BATCH_RECEIPTS),
    royalties: z.array(bytes32Schema).max(MAX_BATCH_RECEIPTS),
  })
  .transform(({ chainId, settlement, operator, receipts, royalties }): BatchBlob => ({
    domain: { chainId: BigInt(chainId), verifyingContract: settlement },
    operator,
    receipts,
    royalties: royalties.map(BigInt),
  }));

/** UTF-8 JSON: {format, chainId, settlement, operator, receipts, royalties}. The same batch is the same bytes. */
export function encodeBatchBlob({ domain, operator, receipts, royalties }: BatchBlob): Uint8Array {
  const json: z.input<typeof blobSchema> = {
    format: BATCH_FORMAT,
    chainId: Number(domain.chainId),
    settlement: domain.verifyingContract,
    operator,
    receipts: receipts.map(signedReceiptToJson),
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

function parseUtf8Json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new InvalidBatchBlobError("Expected JSON in UTF-8", { cause });
  }
}
