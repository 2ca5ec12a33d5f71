import { readFile } from "node:fs/promises";

import { z } from "zod";

import { tensorsSchema, tensorsToJson, type ReceiptTensors, type TensorProof } from "../../receipts/tensors.ts";
import { bytes32Schema, hexSchema, type Hex } from "../../receipts/types.ts";
import type { ProofContext } from "../../zkml/context.ts";
import type { G1Point } from "../../zkml/curve.ts";
import { type Shape, type ShapeName, SHAPES } from "../../zkml/shape.ts";

/** A proof with all that somebody else needs to check it. */
export interface ProofFile {
  shape: Shape;
  /** Digest of the verification key that it is a proof for. */
  keyDigest: Hex;
  context: ProofContext;
  commitment: G1Point;
  /** How many of the shape's lanes are the model's, and their scales. */
  inputs: number;
  outputs: number;
  inputScales: readonly number[];
  outputScale: number;
  tensors: ReceiptTensors & { proof: TensorProof };
}

const word = bytes32Schema.transform(BigInt);
const scale = z.int().min(-64).max(63);

const proofFileSchema = z
  .strictObject({
    format: z.literal("opengradient-zk-proof-1"),
    shape: z.enum(Object.keys(SHAPES) as ShapeName[]).transform((name) => SHAPES[name]),
    keyDigest: bytes32Schema,
    context: z.strictObject({
      chainId: z
        .string()
        .regex(/^\d{1,18}$/)
        .transform(BigInt),
      consumer: hexSchema(20),
      requestId: bytes32Schema,
      modelId: bytes32Schema,
      requester: hexSchema(20),
    }),
    commitment: z.tuple([word, word]),
    inputs: z.int().min(1).max(512),
    outputs: z.int().min(1).max(512),
    inputScales: z.array(scale).min(1).max(512),
    outputScale: z.int().min(0).max(63),
    tensors: tensorsSchema.transform(({ proof, ...words }, context) => {
      if (proof) return { ...words, proof };
      context.addIssue("Expected a proof");
      return z.NEVER;
    }),
  })
  .refine(({ inputs, inputScales }) => inputs === inputScales.length, "Expected a scale for each input")
  .refine(
    ({ inputs, outputs, shape }) => inputs <= shape.inputs && outputs <= shape.outputs,
    "Expected lanes of the shape",
  );

const hex = (value: bigint): Hex => `0x${value.toString(16).padStart(64, "0")}`;

export const proofFileToJson = ({ shape, context, commitment, tensors, ...rest }: ProofFile): object => ({
  format: "opengradient-zk-proof-1",
  shape: shape.name,
  ...rest,
  context: { ...context, chainId: context.chainId.toString() },
  commitment: commitment.map(hex),
  tensors: tensorsToJson(tensors),
});

/** @throws Error that names the file and what in it is wrong. */
export async function readProofFile(file: string): Promise<ProofFile> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error(`Cannot read the proof ${file}: ${(error as Error).message}`, { cause: error });
  }
  const parsed = proofFileSchema.safeParse(json);
  if (!parsed.success) {
    throw new Error(`Expected ${file} to be a proof as zk prove writes it:\n${z.prettifyError(parsed.error)}`);
  }
  return parsed.data;
}
