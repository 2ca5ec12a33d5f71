import { constants, createPublicKey, verify, type KeyObject } from "node:crypto";
import { z } from "zod";
import { fromHex } from "./bytes.ts";
import { chatOutputHash, completionOutputHash, type RequestKind } from "./hashes.ts";
import { InvalidJsonError, isJsonArray, isJsonObject, parseJson, type Json } from "./json.ts";
import { keccak256 } from "./keccak.ts";
import { merkleRoot } from "./merkleProof.ts";
import { canonicalToolCalls, InvalidRequestError, type RawBody } from "./requestText.ts";
import { pythonJson } from "./pythonJson.ts";
import { teeFieldsSchema, teeMessageHash, teeRequestHash, teeTensorText, type TeeStatement } from "./teeReceipt.ts";
import type { Hex } from "./types.ts";

/** Why an enclave's statement about an answer is not believed. */
export type TeeFieldsCode =
  | "missing_tee_fields"
  /** the answer is not of the kind that was asked for */
  | "unreadable_answer"
  /** it has text that the statement cannot cover */
  | "unsigned_content"
  | "tee_id_mismatch"
  | "tee_key_invalid"
  | "tee_hash_mismatch"
  | "tee_timestamp_mismatch"
  | "tee_signature_invalid";

export class TeeFieldsError extends Error {
  override readonly name = "TeeFieldsError";
  readonly code: TeeFieldsCode;

  constructor(code: TeeFieldsCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whose statement it has to be: from the registry, never from the answer. */
export interface TeeKey {
  /** keccak256 of `publicKeyDer`. */
  teeId: Hex;
  /** RSA, SubjectPublicKeyInfo. */
  publicKeyDer: Uint8Array;
}

/** What the statement has to say, as the client found it itself. */
export interface ExpectedStatement {
  /** From `teeRequestHash`. */
  requestHash: Hex;
  /** From `teeOutputHash`, or for a stream, of the text or the tool calls put together from its chunks. */
  outputHash: Hex;
  /** Unix seconds: the receipt's `servedAt`. Without it any time will do. */
  timestamp?: bigint;
}

/**
 * Checks OpenGradient's `tee_` fields. Everything they say is recomputed or known; only the signature is taken from them, and the time
 * where none is expected. When the enclave was live, and whether it is one, is for the registry to say.
 * @param answer parsed: the whole answer, or a stream's last chunk.
 * @returns the statement.
 * @throws TeeFieldsError
 */
export function checkTeeFields(
  answer: unknown,
  expected: ExpectedStatement,
  { teeId, publicKeyDer }: TeeKey,
): TeeStatement {
  const parsed = teeFieldsSchema.safeParse(answer);
  if (!parsed.success) {
    const why = z.prettifyError(parsed.error);
    throw new TeeFieldsError("missing_tee_fields", `The answer carries no readable tee_ fields: ${why}`);
  }
  const { statement, teeId: found, signature, proof } = parsed.data;
  const require = (ok: boolean, code: TeeFieldsCode, what: string, mine: unknown, theirs: unknown): void => {
    if (!ok) throw new TeeFieldsError(code, `Expected ${what} to be ${String(mine)}, found ${String(theirs)}`);
  };
  const { requestHash, outputHash, timestamp = statement.timestamp } = expected;
  const id = keccak256(publicKeyDer);
  require(teeId === id, "tee_id_mismatch", "the key's tee_id", teeId, id);
  require(found === id, "tee_id_mismatch", "the answer's tee_id", id, found);
  require(statement.requestHash ===
    requestHash, "tee_hash_mismatch", "tee_request_hash", requestHash, statement.requestHash);
  require(statement.outputHash ===
    outputHash, "tee_hash_mismatch", "tee_output_hash", outputHash, statement.outputHash);
  require(statement.timestamp === timestamp, "tee_timestamp_mismatch", "tee_timestamp", timestamp, statement.timestamp);
  const options = { key: readKey(publicKeyDer), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const message = fromHex(teeMessageHash(statement));
  const signed = proof === undefined ? message : merkleRoot(message, proof);
  if (signed === undefined || (proof !== undefined && signed.toString("hex") !== proof.root)) {
    throw new TeeFieldsError("tee_signature_invalid", "This answer is not in the tree whose root was signed");
  }
  if (!verify("sha256", signed, options, signature)) {
    throw new TeeFieldsError("tee_signature_invalid", "The enclave's RSA key did not sign this answer");
  }
  return statement;
}

/**
 * Checks a whole answer by its text and the request's.
 * @param text the body of the answer, as it came: parsed JSON would have lost how tensors' numbers were written.
 * @throws TeeFieldsError; InvalidJsonError, InvalidRequestError for the request.
 */
export function checkTeeAnswer(kind: RequestKind, body: RawBody, text: string, key: TeeKey): TeeStatement {
  const expected = { requestHash: teeRequestHash(kind, body), outputHash: teeOutputHash(kind, text) };
  return checkTeeFields(JSON.parse(text), expected, key);
}

/**
 * The output's part of the statement, of a whole answer: of the text, of the tool calls as `json.dumps(…, sort_keys=True)` prints them, or
 * of tensors, for which OpenGradient's gateway has no rule, of the same dump of `outputs`.
 * @param text the body of the answer, as it came.
 * @throws TeeFieldsError
 */
export function teeOutputHash(kind: RequestKind, text: string): Hex {
  const answer = readable(() => parseJson(text));
  if (kind === "inference") {
    const outputs = isJsonObject(answer) ? answer.get("outputs") : undefined;
    if (!isJsonObject(outputs)) throw unreadable("outputs by name", outputs);
    return keccak256(teeTensorText(outputs));
  }
  const choices = isJsonObject(answer) ? answer.get("choices") : undefined;
  const choice = isJsonArray(choices) && choices.length === 1 ? choices[0] : undefined;
  if (!isJsonObject(choice)) throw unreadable("one choice", choices);
  if (kind === "completion") {
    const completed = choice.get("text");
    if (typeof completed !== "string") throw unreadable("a choice with text", completed);
    // OpenGradient's clients read this one
    if (isJsonObject(answer) && (answer.get("completion") ?? completed) !== completed) {
      throw new TeeFieldsError(
        "unsigned_content",
        "`completion` differs from the choice's text, which is what was signed",
      );
    }
    return completionOutputHash(completed);
  }
  const message = choice.get("message");
  if (!isJsonObject(message)) throw unreadable("a choice with a message", message);
  const content = message.get("content") ?? "";
  const calls = message.get("tool_calls") ?? [];
  if (typeof content !== "string" || !isJsonArray(calls)) throw unreadable("text or tool calls", message);
  if (calls.length === 0) return chatOutputHash({ content });
  if (content !== "") {
    throw new TeeFieldsError(
      "unsigned_content",
      "An answer with tool calls and text: the enclave signed the calls only",
    );
  }
  return keccak256(pythonJson(readable(() => canonicalToolCalls(calls))));
}

/** @throws TeeFieldsError for what `read` says of the answer. */
function readable(read: () => Json): Json {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof InvalidJsonError || error instanceof InvalidRequestError)) throw error;
    throw new TeeFieldsError("unreadable_answer", error.message, { cause: error });
  }
}

/** @throws TeeFieldsError for what the contracts would not take. */
function readKey(der: Uint8Array): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    // refused below
  }
  const { modulusLength = 0, publicExponent } = key?.asymmetricKeyDetails ?? {};
  if (key?.asymmetricKeyType === "rsa" && modulusLength >= 2048 && publicExponent === 65537n) return key;
  throw new TeeFieldsError("tee_key_invalid", "Expected an RSA key of 2,048 bits or more with exponent 65537");
}

const unreadable = (what: string, found: Json | undefined): TeeFieldsError =>
  new TeeFieldsError(
    "unreadable_answer",
    `Expected ${what}, found ${found === undefined ? "nothing" : pythonJson(found).slice(0, 100)}`,
  );
