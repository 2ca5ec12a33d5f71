import { z } from "zod";
import type { EnclaveIdentity } from "../enclave/EnclaveIdentity.ts";
import type { MerkleReceiptSigner } from "../enclave/MerkleReceiptSigner.ts";
import { fromHex, putUint, toHex } from "./bytes.ts";
import { inputHash, type RequestKind } from "./hashes.ts";
import { isJsonObject, parseJson, type Json } from "./json.ts";
import { keccak256 } from "./keccak.ts";
import { type MerkleProof, merkleProofSchema } from "./merkleProof.ts";
import { pythonJson } from "./pythonJson.ts";
import { InvalidRequestError, type RawBody } from "./requestText.ts";
import { bytes32Schema, type Hex } from "./types.ts";

/** What an enclave says of one answer: OpenGradient's own statement, beside the receipt. */
export interface TeeStatement {
  /** keccak256 of the request's canonical text. */
  requestHash: Hex;
  /** keccak256 of the answer's text, its tool calls, or its tensors. */
  outputHash: Hex;
  /** Unix seconds of the signature; the receipt's `servedAt`. */
  timestamp: bigint;
}

/** The statement as it stands in an answer, or in the last chunk of a stream. */
export interface TeeFields {
  /** Base64, of 256 bytes for a key of 2,048 bits. */
  tee_signature: string;
  /** Hexadecimal without 0x. */
  tee_request_hash: string;
  tee_output_hash: string;
  tee_timestamp: number;
  /** With 0x. */
  tee_id: Hex;
  /** Of an answer that was signed together with others, as its client has asked: `tee_signature` is of the root. */
  tee_merkle?: MerkleProof;
}

/**
 * What the enclave signs by RSASSA-PSS, after SHA-256: keccak256(requestHash ‖ outputHash ‖ uint256 timestamp). As
 * `TEEInferenceVerifier.computeMessageHash`.
 */
export function teeMessageHash({ requestHash, outputHash, timestamp }: TeeStatement): Hex {
  const words = Buffer.alloc(96);
  fromHex(requestHash, 32).copy(words);
  fromHex(outputHash, 32).copy(words, 32);
  putUint(words, 64, timestamp, 64);
  return keccak256(words);
}

/**
 * The request's part of the statement. Of chats and completions it is the receipt's `inputHash`. For tensors OpenGradient's gateway has
 * no rule; ours is its dump of `{"inputs", "model"}`, numbers as the client wrote them: what `json.dumps` makes of the parsed body.
 * @param body exactly as the client sent it.
 * @param known its `inputHash`, where that is at hand.
 * @throws InvalidJsonError, InvalidRequestError
 */
export function teeRequestHash(kind: RequestKind, body: RawBody, known?: Hex): Hex {
  return kind === "inference" ? keccak256(teeInferenceText(body)) : (known ?? inputHash(kind, body));
}

/** The text of a tensor request that is hashed. */
export function teeInferenceText(body: RawBody): string {
  const request = typeof body === "string" || body instanceof Uint8Array ? parseJson(body) : body;
  const [model, inputs] = isJsonObject(request) ? [request.get("model"), request.get("inputs")] : [];
  if (typeof model !== "string" || inputs === undefined) {
    throw new InvalidRequestError("Expected an object with inputs, and a model that is a string");
  }
  return pythonJson(
    new Map<string, Json>([
      ["inputs", inputs],
      ["model", model],
    ]),
  );
}

/** The text of a tensor answer that is hashed: the same dump of its `outputs`. */
export const teeTensorText = (outputs: Json): string => pythonJson(outputs);

/**
 * The statement, signed by the enclave, as the members of an answer.
 * @param together signs it with others, for a client that takes that.
 */
export async function signTeeFields(
  enclave: Pick<EnclaveIdentity, "teeId" | "signTeeMessage">,
  statement: TeeStatement,
  together?: Pick<MerkleReceiptSigner, "sign">,
): Promise<TeeFields> {
  const message = fromHex(teeMessageHash(statement));
  const { signature, proof } =
    together === undefined ? { signature: await enclave.signTeeMessage(message) } : await together.sign(message);
  return {
    ...(proof && { tee_merkle: proof }),
    tee_signature: signature.toString("base64"),
    tee_request_hash: statement.requestHash.slice(2),
    tee_output_hash: statement.outputHash.slice(2),
    tee_timestamp: Number(statement.timestamp),
    tee_id: enclave.teeId,
  };
}

const hashSchema = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, "expected 32 bytes of hexadecimal without 0x")
  .transform((digits) => toHex(Buffer.from(digits, "hex")));

/** The members of an answer, or of a last chunk → the statement, who makes it, and the signature. Other members are left alone. */
export const teeFieldsSchema = z
  .object({
    tee_signature: z.base64().max(2_048),
    tee_request_hash: hashSchema,
    tee_output_hash: hashSchema,
    tee_timestamp: z.int().min(0),
    tee_id: bytes32Schema,
    tee_merkle: merkleProofSchema.optional(),
  })
  .transform(({ tee_signature, tee_request_hash, tee_output_hash, tee_timestamp, tee_id, tee_merkle }) => ({
    statement: {
      requestHash: tee_request_hash,
      outputHash: tee_output_hash,
      timestamp: BigInt(tee_timestamp),
    } satisfies TeeStatement,
    teeId: tee_id,
    signature: Buffer.from(tee_signature, "base64"),
    ...(tee_merkle && { proof: tee_merkle }),
  }));
