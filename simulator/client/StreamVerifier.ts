import type { RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import { DONE, eventData, EventSplitter } from "../gateway/serverSentEvents.ts";
import { VerificationError } from "./ClientError.ts";
import { StreamedOutput } from "./readAnswer.ts";

export interface StreamVerifierOptions {
  kind: RequestKind;
  /** Rejects what the proof does not prove; the stream then ends with that error, without its last events. */
  verify: (proof: unknown, outputHash: Hex) => Promise<void>;
  /** The stream ended in an error of the gateway, or without its end: nothing was proven. */
  onUnanswered: () => void;
}

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
}: StreamVerifierOptions): TransformStream<Uint8Array, Uint8Array> {
  const splitter = new EventSplitter();
  const output = new StreamedOutput(kind);
  const held: Buffer[] = [];
  let proof: unknown;
  let failed = false;

  const read = (data: string): void => {
    const chunk = parseChunk(data);
    if ("error" in chunk) {
      failed = true;
      onUnanswered();
      return;
    }
    output.add(chunk);
    if (!("opengradient" in chunk)) return;
    if (proof !== undefined) throw new VerificationError("unreadable_answer", "The stream carries two receipts");
    proof = chunk.opengradient;
  };

  return new TransformStream({
    async transform(bytes, controller) {
      for (const event of splitter.push(bytes)) {
        if (LONE_CR.test(event.toString("latin1"))) {
          throw new VerificationError("unreadable_answer", "The stream has line ends that readers take differently");
        }
        const data = eventData(event);
        if (data !== undefined && data !== DONE) read(data);
        if (!failed && (proof !== undefined || data === DONE)) held.push(event);
        else controller.enqueue(event);
        if (data !== DONE || failed) continue;
        if (proof === undefined) throw new VerificationError("missing_receipt", "The stream ended without its receipt");
        await verify(proof, output.hash());
        for (const last of held) controller.enqueue(last);
        controller.terminate();
        return;
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
