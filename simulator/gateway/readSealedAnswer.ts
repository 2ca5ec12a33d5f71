import { FrameSplitter } from "../ohttp/FrameSplitter.ts";
import { OhttpError } from "../ohttp/OhttpError.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import type { Answer } from "./Answer.ts";
import type { NodeResponse } from "./askNode.ts";
import { badAnswer, type FinishedAnswer } from "./FinishedAnswer.ts";
import { GatewayError } from "./GatewayError.ts";
import { proofSchema, type InferenceProof } from "./receiptCheck.ts";

/**
 * Reads an answer that only the client can open. Chunks are passed on as they come, except the last: without it the client refuses the
 * answer, so it leaves when the answer is stored and due.
 * @param body the response's, bounded.
 * @throws GatewayError 502
 */
export async function readSealedAnswer(
  answer: Answer,
  streamed: boolean,
  { contentType, receipt }: NodeResponse,
  body: AsyncIterable<Buffer>,
): Promise<FinishedAnswer> {
  const expected = streamed ? OHTTP_CHUNKED_RESPONSE : OHTTP_RESPONSE;
  if (contentType !== expected) throw badAnswer(`expected ${expected}, found ${contentType}`);
  if (!streamed) {
    const whole = await joined(body);
    const { proof, json } = readProof(receipt());
    return {
      answer: { contentType, body: whole, proof: json, feeWei: proof.receipt.receipt.fee },
      proof,
      usage: undefined,
      held: whole,
    };
  }
  const splitter = new FrameSplitter();
  const passed: Buffer[] = [];
  try {
    for await (const part of body) {
      for (const { raw } of splitter.push(part)) {
        passed.push(raw);
        answer.push(raw);
      }
    }
    const held = splitter.end().raw;
    const header = receipt();
    if (header === "") {
      // what went wrong is in the last chunk, for the client to read
      answer.push(held);
      throw new GatewayError(502, "upstream_error", "node_failed", "The enclave failed in the middle of its answer");
    }
    const { proof, json } = readProof(header);
    const whole = Buffer.concat([...passed, held]);
    const { fee: feeWei } = proof.receipt.receipt;
    return { answer: { contentType, body: whole, proof: json, feeWei }, proof, usage: undefined, held };
  } catch (error) {
    throw error instanceof OhttpError ? badAnswer(error.message) : error;
  }
}

async function joined(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

function readProof(header: string | undefined): { proof: InferenceProof; json: string } {
  const json = Buffer.from(header ?? "", "base64").toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw badAnswer("it carries no receipt");
  }
  const parsed = proofSchema.safeParse(value);
  if (!parsed.success) throw badAnswer("it carries no receipt");
  return { proof: parsed.data, json };
}
