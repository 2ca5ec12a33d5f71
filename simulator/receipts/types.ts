import { z } from "zod";

/** Bytes as lower-case hexadecimal with 0x. */
export type Hex = `0x${string}`;

/** How an answer is verified; the numbers are OpenGradient's on-chain enum. */
export const Mode = { Vanilla: 0, Zkml: 1, Tee: 2 } as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

/** What an inference node signs about one answer: `InferenceReceipt` of the EIP-712 domain "OpenGradient". */
export interface Receipt {
  /** Nullifier, 32 bytes: settles once per operator. See `requestIdForPayment`. */
  requestId: Hex;
  /** The model version of ModelRegistry, 32 bytes. */
  modelId: Hex;
  mode: Mode;
  inputHash: Hex;
  outputHash: Hex;
  payer: Hex;
  /** Wei of OPG, uint96. */
  fee: bigint;
  /** Unix seconds. */
  servedAt: bigint;
}

export interface SignedReceipt {
  receipt: Receipt;
  /** EIP-2098 compact signature, 64 bytes `r ‖ vs`. */
  signature: Hex;
}

/** A batch of one operator's receipts. Its EIP-712 digest is its id, what verifiers sign and its storage key. */
export interface BatchHeader {
  /** Hash of the sum tree's root. */
  root: Hex;
  blobId: Hex;
  operator: Hex;
  count: number;
  /** The verifier snapshot that judges the batch. */
  setId: number;
  /** Sum of the receipts' fees, wei of OPG. */
  fees: bigint;
  /** Every receipt's servedAt lies in [servedFrom, servedTo], unix seconds. */
  servedFrom: bigint;
  servedTo: bigint;
  /** Settlement sequence number up to which voters looked for duplicates. */
  seen: number;
  royaltiesHash: Hex;
}

/** What tells one ProofSettlement from another in signatures and request ids. */
export interface SettlementDomain {
  chainId: bigint;
  verifyingContract: Hex;
}

export const UINT96_MAX = (1n << 96n) - 1n;

/** Hexadecimal of exactly `bytes` bytes; letters are lowered, so that equal bytes are equal strings. */
export function hexSchema(bytes: number) {
  return z
    .string()
    .regex(new RegExp(`^0x[0-9a-fA-F]{${bytes * 2}}$`), `expected ${bytes} bytes as 0x-prefixed hexadecimal`)
    .transform((text) => text.toLowerCase() as Hex);
}

export const bytes32Schema = hexSchema(32);
export const addressSchema = hexSchema(20);

/** A uint96 as a decimal string without leading zeros. */
export const uint96Schema = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,28})$/, "expected a decimal integer as a string")
  .transform(BigInt)
  .refine((value) => value <= UINT96_MAX, "expected less than 2^96");

const secondsSchema = z.int().min(0).transform(BigInt);
const uint32Schema = z.int().min(0).max(0xffffffff);
const uint40Schema = z
  .int()
  .min(0)
  .max(2 ** 40 - 1);

/** The flat JSON of HTTP and blobs → SignedReceipt. Unknown keys are refused: they would not be signed. */
export const signedReceiptSchema = z
  .strictObject({
    requestId: bytes32Schema,
    modelId: bytes32Schema,
    mode: z.union([z.literal(Mode.Vanilla), z.literal(Mode.Zkml), z.literal(Mode.Tee)]),
    inputHash: bytes32Schema,
    outputHash: bytes32Schema,
    payer: addressSchema,
    fee: uint96Schema,
    servedAt: secondsSchema,
    signature: hexSchema(64),
  })
  .transform(({ signature, ...receipt }): SignedReceipt => ({ receipt, signature }));

export type SignedReceiptJson = z.input<typeof signedReceiptSchema>;

export const batchHeaderSchema = z.strictObject({
  root: bytes32Schema,
  blobId: bytes32Schema,
  operator: addressSchema,
  count: uint32Schema,
  setId: uint32Schema,
  fees: uint96Schema,
  servedFrom: secondsSchema,
  servedTo: secondsSchema,
  seen: uint40Schema,
  royaltiesHash: bytes32Schema,
}) satisfies z.ZodType<BatchHeader>;

export type BatchHeaderJson = z.input<typeof batchHeaderSchema>;

/** Inverse of `signedReceiptSchema`. */
export function signedReceiptToJson({ receipt, signature }: SignedReceipt): SignedReceiptJson {
  return { ...receipt, fee: receipt.fee.toString(), servedAt: Number(receipt.servedAt), signature };
}

/** Inverse of `batchHeaderSchema`. */
export function batchHeaderToJson(header: BatchHeader): BatchHeaderJson {
  return {
    ...header,
    fees: header.fees.toString(),
    servedFrom: Number(header.servedFrom),
    servedTo: Number(header.servedTo),
  };
}
