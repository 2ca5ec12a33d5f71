import type { Readable } from "node:stream";
import { usageOf, type TokenUsage } from "../receipts/tariff.ts";
import { streamError, type NodeResponse } from "./askNode.ts";
import { badAnswer, type FinishedAnswer } from "./FinishedAnswer.ts";
import { answerSchema, type InferenceProof } from "./receiptCheck.ts";
import { DONE, eventData, EventSplitter } from "./serverSentEvents.ts";

/**
 * Reads what a node answers. Events of a stream are passed on at once, except the proof and what follows it.
 * @param body the response's, bounded.
 * @throws GatewayError 502; what a stream reports as its failure.
 */
export async function readNodeAnswer(
  stream: boolean,
  { contentType }: Pick<NodeResponse, "contentType">,
  body: AsyncIterable<Buffer>,
  pass: (event: Buffer) => void,
): Promise<FinishedAnswer> {
  const streamed = contentType.startsWith("text/event-stream");
  if (streamed !== stream) {
    throw badAnswer(`expected ${stream ? "a stream" : "one JSON document"}, found ${contentType}`);
  }
  return streamed ? readStream(contentType, body, pass) : readDocument(contentType, body);
}

async function readDocument(contentType: string, body: AsyncIterable<Buffer>): Promise<FinishedAnswer> {
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  const whole = Buffer.concat(parts);
  const { proof, json, usage } = readProof(whole.toString("utf8"));
  return {
    answer: { contentType, body: whole, proof: json, feeWei: proof.receipt.receipt.fee },
    proof,
    usage,
    held: whole,
  };
}

async function readStream(
  contentType: string,
  body: AsyncIterable<Buffer>,
  pass: (event: Buffer) => void,
): Promise<FinishedAnswer> {
  const splitter = new EventSplitter();
  const passed: Buffer[] = [];
  const held: Buffer[] = [];
  let proven: Proven | undefined;
  let done = false;
  for await (const part of body) {
    for (const event of splitter.push(part)) {
      const data = eventData(event);
      if (data === DONE) done = true;
      else if (data !== undefined && !done) proven = inspect(data) ?? proven;
      if (proven !== undefined || done) {
        held.push(event);
      } else {
        passed.push(event);
        pass(event);
      }
    }
  }
  if (proven === undefined || !done) throw badAnswer("the stream ended without its receipt");
  const whole = Buffer.concat([...passed, ...held]);
  return {
    answer: { contentType, body: whole, proof: proven.json, feeWei: proven.proof.receipt.receipt.fee },
    proof: proven.proof,
    usage: proven.usage,
    held: Buffer.concat(held),
  };
}

/** A body of at most `maxBytes`. @throws GatewayError 502 */
export async function* limited(body: Readable, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) throw badAnswer("it is too large");
    yield part;
  }
}

interface Proven {
  proof: InferenceProof;
  json: string;
  /** Beside it in the answer. */
  usage: TokenUsage | undefined;
}

/** The proof when this event carries it. @throws GatewayError when the event reports a failure. */
function inspect(data: string): Proven | undefined {
  // most events are text: parsing is for those that may be more
  if (!data.includes('"opengradient"') && !data.includes('"error"')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw badAnswer("an event is not JSON");
  }
  const failure = streamError(value);
  if (failure !== undefined) throw failure;
  return typeof value === "object" && value !== null && "opengradient" in value ? readProof(data) : undefined;
}

function readProof(text: string): Proven {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badAnswer("it is not JSON");
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) throw badAnswer("it carries no receipt");
  const json = JSON.stringify((value as { opengradient: unknown }).opengradient);
  return { proof: parsed.data.opengradient, json, usage: usageOf(value) };
}
