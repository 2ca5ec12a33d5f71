import { Readable } from "node:stream";

import type { FastifyInstance } from "fastify";
import { z } from "zod";

import { OHTTP_CHUNKED_RESPONSE, OHTTP_KEYS, OHTTP_REQUEST, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import { bytes32Schema, type Hex } from "../receipts/types.ts";
import { NodeError } from "./NodeError.ts";
import { type NodePayment, parsePaymentHeader, PAYMENT_HEADER } from "./paymentHeader.ts";
import { bytesOfLines } from "./SealedRequests.ts";

export const SEALED_ROUTE = "/v1/ohttp";
export const SEALED_CONFIG_ROUTE = "/v1/ohttp/config";

/** Header by which a gateway tells which version of a model was paid for, 32 bytes: it cannot see which one was asked for. */
export const MODEL_ID_HEADER = "x-og-model-id";
/** Header, or trailer of a streamed answer, with what the gateway may know of it: base64 of JSON {receipt, operator, signer}. */
export const RECEIPT_HEADER = "x-inference-receipt";

/** A sealed request as it comes. */
export interface SealedCall {
  body: Buffer;
  /** Whether the answer is asked for in chunks. */
  streamed: boolean;
  /** The version that was paid for; another one is not run. */
  modelId: Hex;
}

/** A sealed answer to pass on. */
export interface SealedAnswer {
  /** Lines of base64. */
  pieces: AsyncIterable<string>;
  /** The proof, once the answer is whole; undefined when it failed. */
  proof: () => object | undefined;
}

export interface SealedRoutesOptions {
  /** `application/ohttp-keys`. */
  keyConfigs: Buffer;
  /** The enclave, where the node runs in one. */
  teeId: Hex | undefined;
  answer: (call: SealedCall, payment: NodePayment) => Promise<SealedAnswer>;
}

/** Adds what sealed requests need to a node's private API. */
export function addSealedRoutes(server: FastifyInstance, { keyConfigs, answer }: SealedRoutesOptions): void {
  server.addContentTypeParser(OHTTP_REQUEST, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.get(SEALED_CONFIG_ROUTE, (_request, reply) => reply.type(OHTTP_KEYS).send(keyConfigs));
  server.post(SEALED_ROUTE, async ({ headers, body }, reply) => {
    if (headers["content-type"] !== OHTTP_REQUEST || !Buffer.isBuffer(body)) {
      throw new NodeError(415, "invalid_request", `expected a body of type ${OHTTP_REQUEST}`);
    }
    const payment = parsePaymentHeader(headers[PAYMENT_HEADER]);
    const modelId = parseModelId(headers[MODEL_ID_HEADER]);
    const streamed = asksForChunks(headers);
    const { pieces, proof } = await answer({ body, streamed, modelId }, payment);
    const header = (): string => {
      const found = proof();
      return found === undefined ? "" : Buffer.from(JSON.stringify(found)).toString("base64");
    };
    if (!streamed) {
      let lines = "";
      for await (const piece of pieces) lines += piece;
      return reply.type(OHTTP_RESPONSE).header(RECEIPT_HEADER, header()).send(bytesOfLines(lines));
    }
    // the receipt is signed at the end of a stream
    reply.trailer(RECEIPT_HEADER, () => Promise.resolve(header()));
    return reply.type(OHTTP_CHUNKED_RESPONSE).send(Readable.from(bytesOf(pieces), { objectMode: false }));
  });
}

/** Whether a sealed request asks for its answer in chunks, as OpenGradient's clients do. */
export function asksForChunks(headers: Record<string, string | string[] | undefined>): boolean {
  const { accept } = headers;
  return (
    headers["x-ohttp-stream"] === "true" || (typeof accept === "string" && accept.includes(OHTTP_CHUNKED_RESPONSE))
  );
}

async function* bytesOf(pieces: AsyncIterable<string>): AsyncGenerator<Buffer, void> {
  for await (const piece of pieces) yield bytesOfLines(piece);
}

function parseModelId(header: string | string[] | undefined): Hex {
  const parsed = bytes32Schema.safeParse(header);
  if (parsed.success) return parsed.data;
  throw new NodeError(400, "invalid_model_header", `${MODEL_ID_HEADER}: ${z.prettifyError(parsed.error)}`);
}
