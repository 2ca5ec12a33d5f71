import { blindedHash } from "../ohttp/blindedHash.ts";
import { encodeInnerResponse, padEvents } from "../ohttp/innerMessages.ts";
import { DEFAULT_KEY_ID, encodeKeyConfigs, type SealingKey } from "../ohttp/keyConfig.ts";
import { OhttpError } from "../ohttp/OhttpError.ts";
import { ChunkSealer } from "../ohttp/responseChunks.ts";
import { openRequest, type SharedSecrets } from "../ohttp/sealedRequest.ts";
import { sealResponse } from "../ohttp/sealedResponse.ts";
import type { Enclave } from "../enclave/Enclave.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { AnswerForm } from "./AnswerForm.ts";
import { jsonOf } from "./JsonText.ts";
import { errorBody, NodeError } from "./NodeError.ts";
import { requestKindOf } from "./requestKindOf.ts";
import { DONE_EVENT, serverSentEvent } from "./serverSentEvent.ts";

/** A request that was sealed, opened. */
export interface UnsealedRequest {
  kind: RequestKind;
  /** The body as the client's application wrote it, with blanks behind it. */
  body: Uint8Array;
  form: AnswerForm;
  /** The error as only the client can read it. */
  refusal: (error: NodeError) => SealedRefusal;
}

/** A request that was opened and is refused. The status shows, the reason does not: it may quote the request. */
export class SealedRefusal extends NodeError {
  readonly sealed: Buffer;

  constructor(status: number, sealed: Buffer) {
    super(status, "sealed_refusal", "the reason is sealed for the client");
    this.sealed = sealed;
  }
}

/** The key that requests are sealed with for an enclave: its attestation binds it. */
export const sealingKeyOfEnclave = ({
  sealingPublicKey,
  sealingKeyPair,
}: Pick<Enclave, "sealingPublicKey" | "sealingKeyPair">): SealingKey => ({
  keyId: DEFAULT_KEY_ID,
  publicKey: sealingPublicKey,
  keyPair: sealingKeyPair,
});

/** Opens requests sealed for the enclave's key, and seals their answers. */
export class SealedRequests {
  /** `application/ohttp-keys`. */
  readonly keyConfigs: Buffer;
  readonly #key: SealingKey;

  constructor(key: SealingKey) {
    this.#key = key;
    this.keyConfigs = encodeKeyConfigs([key]);
  }

  /**
   * @param streamed whether the answer was asked for in chunks.
   * @throws NodeError 400 for a request that cannot be opened; SealedRefusal for one that can, and is none.
   */
  async open(bytes: Uint8Array, streamed: boolean): Promise<UnsealedRequest> {
    const { plaintext: body, secrets } = await openRequest(this.#key, bytes).catch(asNodeError);
    const refusal = (error: NodeError): SealedRefusal => {
      const inner = encodeInnerResponse({ status: error.status, body: JSON.stringify(errorBody(error)) });
      return new SealedRefusal(error.status, sealResponse(secrets, inner));
    };
    const kind = requestKindOf(body);
    if (kind === undefined) {
      throw refusal(
        new NodeError(400, "invalid_request", "expected JSON with messages, a prompt or inputs to be sealed"),
      );
    }
    return { kind, body, form: sealedForm(secrets, streamed), refusal };
  }
}

/** Sealed pieces as the store and a flight keep them: each a line of base64. */
export const sealedLine = (bytes: Buffer): string => `${bytes.toString("base64")}\n`;

export function bytesOfLines(lines: string): Buffer {
  return Buffer.concat(lines.split("\n").map((line) => Buffer.from(line, "base64")));
}

function sealedForm(secrets: SharedSecrets, streamed: boolean): AnswerForm {
  const sealer = new ChunkSealer(secrets);
  const whole = (answer: object): Buffer =>
    sealResponse(secrets, encodeInnerResponse({ status: 200, body: jsonOf(answer) }));
  return {
    kind: "sealed",
    event: (chunk) => sealedLine(sealer.seal(padEvents(serverSentEvent(chunk)))),
    end: (answer) => sealedLine(streamed ? sealer.end(padEvents(serverSentEvent(answer) + DONE_EVENT)) : whole(answer)),
    failure: (error) => sealedLine(sealer.end(padEvents(serverSentEvent(errorBody(error))))),
    receiptHash: (what, hash) => blindedHash(secrets.receiptSalt, what, hash),
  };
}

function asNodeError(error: unknown): never {
  if (!(error instanceof OhttpError)) throw error;
  const stale = error.code === "unknown_key" || error.code === "cannot_open";
  const advice = stale ? "; the enclave may have a new key: look it up again (/v1/ohttp/config) and seal anew" : "";
  throw new NodeError(400, error.code, error.message + advice, { cause: error });
}
