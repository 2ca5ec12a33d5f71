import { z } from "zod";

import { addressSchema, bytes32Schema, type Hex, type Mode } from "../receipts/types.ts";

/** A request whose fee is locked on chain: `Request` of InferenceEscrow. */
export interface EscrowRequest {
  payer: Hex;
  operator: Hex;
  /** The model version of ModelRegistry. */
  modelId: Hex;
  /** keccak256 of the input's bytes. */
  inputHash: Hex;
  /** Where the input is: the text of a request body, as a blob. */
  inputBlobId: Hex;
  /** What is locked, wei of OPG. */
  maxFee: bigint;
  /** Unix seconds: last moment of an answer. */
  deadline: bigint;
  mode: Mode;
  /** Who gets the royalty, and its part of the fee. */
  royaltyTo: Hex;
  royaltyBps: bigint;
  salt: Hex;
}

const amount = z.union([z.bigint(), z.string().regex(/^\d+$/).transform(BigInt)]);

/** Reads a request from an event's arguments, or from `escrowRequestToJson`. */
export const escrowRequestSchema: z.ZodType<EscrowRequest> = z.object({
  payer: addressSchema,
  operator: addressSchema,
  modelId: bytes32Schema,
  inputHash: bytes32Schema,
  inputBlobId: bytes32Schema,
  maxFee: amount,
  deadline: amount,
  mode: z
    .union([z.bigint(), z.number()])
    .transform(Number)
    .pipe(z.literal([0, 1, 2])),
  royaltyTo: addressSchema,
  royaltyBps: amount,
  salt: bytes32Schema,
});

export function escrowRequestToJson(request: EscrowRequest): string {
  return JSON.stringify(request, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}
