import type { RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import { DONE, eventData, EventSplitter } from "../gateway/serverSentEvents.ts";
import { VerificationError } from "./ClientError.ts";
import { TEE_FIELDS } from "./checkTeeAnswer.ts";
import { StreamedOutput } from "./readAnswer.ts";

export interface StreamVerifierOptions {
  kind: RequestKind;
  /** Rejects what the chunk that carries the proof does not prove (`stated`: PAYMENT-RESPONSE, where an event tells it); the stream then ends with that error, without its last events. */
  verify: (proof: Record<string, unknown>, outputHash: Hex, stated: string | undefined) => Promise<void>;
  /** The stream ended in an error of the gateway, or without its end, or could not be checked: nothing was proven. */
  onUnanswered: () => void;
  /** The stream is not what was signed. */
  onRefusal?: (error: VerificationError) => void;
}

/** What only the chunk with the proof may carry: another one's would not be checked. */
const PROOF_FIELDS = ["opengradient", ...TEE_FIELDS];
/** A lone CR ends a line for some readers of event streams and not for others. */
const LONE_CR = /\r(?!\n)/;

/**
 * Passes an event stream on as it comes, and holds its end (the proof and `[DONE]`) back until the whole is verified. Whoever reads it
 * to the end without an error has read what was signed.
 */
export function streamVerifier({
  kind,
  verify,
  onUnanswered,
  onRefusal,
}: StreamVerifierOptions): TransformStream<Uint8Array, Uint8Array> {
  const splitter = new EventSplitter();
  const output = new StreamedOutput(kind);
  const held: Buffer[] = [];
  let proof: Record<string, unknown> | undefined;
  let stated: string | undefined;
  let failed = false;

  const read = (data: string): void => {
    const chunk = parseChunk(data);
    if ("error" in chunk) {
      failed = true;
      onUnanswered();
      return;
    }
    output.add(chunk);
    // headers are out before a stream that is charged by use has cost anything
    if (typeof chunk.paymentResponse === "string") stated = chunk.paymentResponse;
    if (!PROOF_FIELDS.some((name) => name in chunk)) return;
    if (proof !== undefined) throw new VerificationError("unreadable_answer", "The stream carries two proofs");
    proof = chunk;
  };

  const pass = async (event: Buffer, controller: TransformStreamDefaultController<Uint8Array>): Promise<boolean> => {
    if (LONE_CR.test(event.toString("latin1"))) {
      throw new VerificationError("unreadable_answer", "The stream has line ends that readers take differently");
    }
    const data = eventData(event);
    if (data !== undefined && data !== DONE) read(data);
    if (!failed && (proof !== undefined || data === DONE)) held.push(event);
    else controller.enqueue(event);
    if (data !== DONE || failed) return false;
    if (proof === undefined) throw new VerificationError("missing_receipt", "The stream ended without its receipt");
    await verify(proof, output.hash(), stated);
    for (const last of held) controller.enqueue(last);
    controller.terminate();
    return true;
  };

  return new TransformStream({
    async transform(bytes, controller) {
      try {
        for (const event of splitter.push(bytes)) if (await pass(event, controller)) return;
      } catch (error) {
        if (error instanceof VerificationError) onRefusal?.(error);
        else onUnanswered();
        throw error;
      }
    },
    flush() {
      if (failed) return;
      onUnanswered();
      throw new VerificationError("missing_receipt", "The stream ended without its receipt");
    },
  });
}

function parseChunk(data: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // refused below
  }
  throw new VerificationError("unreadable_answer", "An event of the stream is not a JSON object");
}
