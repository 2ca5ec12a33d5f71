import { z } from "zod";
import { concat, keccak256, toUtf8Bytes } from "ethers";
import { inputHash } from "../../receipts/hashes.ts";
import { teeMessageHash } from "../../receipts/teeReceipt.ts";
import { addressSchema, type Hex } from "../../receipts/types.ts";
import type { DataContent, DataStatement } from "./DataJobStore.ts";

/** With or without 0x: OpenGradient's gateways send both. */
const bytes32 = z
  .string()
  .regex(/^(?:0x)?[0-9a-fA-F]{64}$/, "expected 32 bytes as hexadecimal")
  .transform((text): Hex => `0x${text.toLowerCase().replace(/^0x/, "")}`);

const unixSeconds = z
  .union([z.int().min(0), z.string().regex(/^\d{1,15}$/)])
  .transform((value) => BigInt(value))
  .refine((value) => value < 1n << 40n, "expected unix seconds");

const statementFields = {
  tee_id: bytes32,
  input_hash: bytes32,
  output_hash: bytes32,
  tee_signature: z.base64().min(4).max(2_048),
  tee_timestamp: unixSeconds,
};

/** Text, or JSON that somebody did not turn into text. */
const text = z.unknown().transform((value) => (typeof value === "string" ? value : JSON.stringify(value)));

/** What `x-settlement-data` says, base64 of JSON; `individual` has the content besides. */
export const settlementDataSchema = z.object({
  ...statementFields,
  input: text.optional().describe("The request: its canonical text, or its body"),
  output: text.optional().describe("The text of the answer"),
  timestamp: unixSeconds.optional(),
  eth_address: addressSchema.optional(),
});

export type SettlementData = z.output<typeof settlementDataSchema>;

export const statementOf = (data: SettlementData): DataStatement => ({
  teeId: data.tee_id,
  inputHash: data.input_hash,
  outputHash: data.output_hash,
  timestamp: data.tee_timestamp,
  signature: data.tee_signature,
});

/** The same statement is the same hash, whoever sends it and however it was signed. */
export const statementHashOf = ({ teeId, inputHash, outputHash, timestamp }: DataStatement): Hex =>
  keccak256(concat([teeId, teeMessageHash({ requestHash: inputHash, outputHash, timestamp })])) as Hex;

/** The content of an `individual` settlement, if it is what the enclave signed; otherwise what does not fit. */
export function contentOf(data: SettlementData): DataContent | { mismatch: "input" | "output" | "missing" } {
  const { input, output, timestamp, eth_address: ethAddress } = data;
  if (input === undefined || output === undefined) return { mismatch: "missing" };
  if (!hashesOfInput(input).includes(data.input_hash)) return { mismatch: "input" };
  if (textHash(output) !== data.output_hash) return { mismatch: "output" };
  return {
    input,
    output,
    ...(timestamp !== undefined && { timestamp: Number(timestamp) }),
    ...(ethAddress !== undefined && { ethAddress }),
  };
}

const textHash = (text: string): Hex => keccak256(toUtf8Bytes(text)) as Hex;

/** Of the canonical text that is hashed, or of the request's body, of which the canonical text is made. */
function hashesOfInput(input: string): Hex[] {
  const hashes = [textHash(input)];
  for (const kind of ["chat", "completion"] as const) {
    try {
      hashes.push(inputHash(kind, Buffer.from(input)));
    } catch {
      // no request of this kind
    }
  }
  return hashes;
}

/** One report per payment. An `upto` session or a channel pays for many requests, so there each statement is one. */
export function dataJobId(payment: string, statement: DataStatement, manyRequests: boolean): string {
  const parts = [payment, ...(manyRequests ? [statementHashOf(statement)] : [])];
  return `data-${keccak256(toUtf8Bytes(parts.join("\n"))).slice(2, 42)}`;
}
