import { z } from "zod";

import { tensorsSchema } from "../receipts/tensors.ts";
import { hexSchema, type Hex } from "../receipts/types.ts";
import type { G1Point, G2Point } from "./curve.ts";
import type { ZkManifest } from "./manifest.ts";
import type { VerifyingKey } from "./keys/ShapeKey.ts";

const word = hexSchema(32).transform(BigInt);
const g1 = z.tuple([word, word]) as z.ZodType<G1Point>;
const g2 = z.tuple([word, word, word, word]) as z.ZodType<G2Point>;

const verifyingKeySchema = z
  .strictObject({
    alpha1: g1,
    beta2: g2,
    gamma2: g2,
    delta2: g2,
    ic: z.array(g1).min(2).max(65),
    basesHash: hexSchema(32),
  })
  .transform((key): VerifyingKey => ({ ...key, requestSignals: key.ic.length - 1 }));

const uint = (bits: number) =>
  z
    .int()
    .min(0)
    .max(2 ** bits - 1);

/** A manifest as JSON has it. */
export const zkManifestSchema = z.strictObject({
  onnxHash: hexSchema(32),
  weightsHash: hexSchema(32),
  shape: uint(16),
  inputs: uint(16),
  outputs: uint(16),
  inputScale: uint(8),
  outputScale: uint(8),
}) satisfies z.ZodType<ZkManifest>;

/** Answer to `GET /v1/proofs/{requestId}`. */
export const proofAnswerSchema = z.discriminatedUnion("status", [
  z.looseObject({ status: z.literal("pending"), requestId: hexSchema(32), ahead: z.int().min(0) }),
  z.looseObject({ status: z.literal("failed"), requestId: hexSchema(32), reason: z.string() }),
  z.looseObject({
    status: z.literal("proven"),
    requestId: hexSchema(32),
    modelId: hexSchema(32),
    tensors: tensorsSchema.transform(({ proof, ...words }, context) => {
      if (proof !== undefined) return { ...words, proof };
      context.addIssue("Expected a proof");
      return z.NEVER;
    }),
    /** Its digest is the `keyHash` of the shape's verifier. */
    verifyingKey: verifyingKeySchema,
  }),
]);

export type ProofAnswer = z.output<typeof proofAnswerSchema>;

const hex = (value: bigint): Hex => `0x${value.toString(16).padStart(64, "0")}`;

const wordsToJson = (values: readonly bigint[]): Hex[] => values.map(hex);

export const verifyingKeyToJson = ({ alpha1, beta2, gamma2, delta2, ic, basesHash }: VerifyingKey): object => ({
  alpha1: wordsToJson(alpha1),
  beta2: wordsToJson(beta2),
  gamma2: wordsToJson(gamma2),
  delta2: wordsToJson(delta2),
  ic: ic.map(wordsToJson),
  basesHash,
});
