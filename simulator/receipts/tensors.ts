import { z } from "zod";

import { fromHex } from "./bytes.ts";
import {
  bytes32Schema,
  Mode,
  signedReceiptSchema,
  signedReceiptToJson,
  type Hex,
  type SignedReceipt,
  type SignedReceiptJson,
} from "./types.ts";

/** A Groth16 proof as contracts take it. */
export interface TensorProof {
  a: readonly [bigint, bigint];
  /** Imaginary parts first. */
  b: readonly [bigint, bigint, bigint, bigint];
  c: readonly [bigint, bigint];
}

/** What a receipt's two hashes are of when its model is a zk model: packed quantised tensors, in words of 32 bytes. */
export interface ReceiptTensors {
  inWords: readonly bigint[];
  outWords: readonly bigint[];
  /** That the model gives this output for this input; of receipts of mode ZKML only, and in batches of all of them. */
  proof?: TensorProof | undefined;
}

/** A receipt as batches hold it. */
export interface TensorReceipt extends SignedReceipt {
  tensors?: ReceiptTensors | undefined;
}

/** The proof of a receipt of mode ZKML, when it is there. */
export const proofOf = ({ receipt, tensors }: TensorReceipt): TensorProof | undefined =>
  receipt.mode === Mode.Zkml ? tensors?.proof : undefined;

const PROOF_TAG = Buffer.from([2]);

/**
 * What a proof's place in a batch's tree is the keccak256 of: 0x02 ‖ a ‖ b ‖ c ‖ output words ‖ input words, a word 32 bytes
 * (contracts/settlement, IZkReferee).
 */
export function committedProof({ a, b, c }: TensorProof, { inWords, outWords }: ReceiptTensors): Buffer {
  return Buffer.concat([PROOF_TAG, wordBytes([...a, ...b, ...c, ...outWords, ...inWords])]);
}

const wordHex = (word: bigint): Hex => `0x${word.toString(16).padStart(64, "0")}`;

const wordBytes = (words: readonly bigint[]): Buffer => Buffer.concat(words.map((word) => fromHex(wordHex(word), 32)));

/** The largest shape has 4 input and 8 output words. */
const MAX_WORDS = 16;

const wordSchema = bytes32Schema.transform(BigInt);
const wordsSchema = z.array(wordSchema).min(1).max(MAX_WORDS);
const pointSchema = z.tuple([wordSchema, wordSchema]);

/** {inputs, outputs, proof?: {a, b, c}}, every word as 32 bytes of hexadecimal. */
export const tensorsSchema = z
  .strictObject({
    inputs: wordsSchema,
    outputs: wordsSchema,
    proof: z
      .strictObject({ a: pointSchema, b: z.tuple([wordSchema, wordSchema, wordSchema, wordSchema]), c: pointSchema })
      .optional(),
  })
  .transform(({ inputs, outputs, proof }): ReceiptTensors => ({
    inWords: inputs,
    outWords: outputs,
    ...(proof && { proof }),
  }));

export type TensorsJson = z.input<typeof tensorsSchema>;

/** Inverse of `tensorsSchema`. */
export function tensorsToJson({ inWords, outWords, proof }: ReceiptTensors): TensorsJson {
  const point = ([x, y]: readonly [bigint, bigint]): [string, string] => [wordHex(x), wordHex(y)];
  return {
    inputs: inWords.map(wordHex),
    outputs: outWords.map(wordHex),
    ...(proof && {
      proof: {
        a: point(proof.a),
        b: [...point([proof.b[0], proof.b[1]]), ...point([proof.b[2], proof.b[3]])],
        c: point(proof.c),
      },
    }),
  };
}

/** A signed receipt's flat JSON with `tensors`. */
export const tensorReceiptSchema = z
  .looseObject({ tensors: tensorsSchema.optional() })
  .transform(({ tensors, ...signed }, context): TensorReceipt => {
    const parsed = signedReceiptSchema.safeParse(signed);
    if (!parsed.success) {
      for (const { path, message } of parsed.error.issues) context.addIssue({ code: "custom", path, message });
      return z.NEVER;
    }
    if (tensors?.proof && parsed.data.receipt.mode !== Mode.Zkml) {
      context.addIssue({
        code: "custom",
        path: ["tensors", "proof"],
        message: "expected no proof but in mode 1 (ZKML)",
      });
      return z.NEVER;
    }
    return { ...parsed.data, ...(tensors && { tensors }) };
  });

export type TensorReceiptJson = SignedReceiptJson & { tensors?: TensorsJson };

/** Inverse of `tensorReceiptSchema`. */
export function tensorReceiptToJson({ tensors, ...signed }: TensorReceipt): TensorReceiptJson {
  return { ...signedReceiptToJson(signed), ...(tensors && { tensors: tensorsToJson(tensors) }) };
}
