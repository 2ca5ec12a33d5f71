import type { TokenUsage } from "../receipts/tariff.ts";
import { GatewayError } from "./GatewayError.ts";
import type { InferenceProof } from "./receiptCheck.ts";
import type { StoredAnswer } from "./StoredRequest.ts";

/** A whole answer, with the bytes that must not leave before it is stored and due. */
export interface FinishedAnswer {
  answer: StoredAnswer;
  proof: InferenceProof;
  /** Of a sealed answer nobody but the client sees it. */
  usage: TokenUsage | undefined;
  held: Buffer;
}

export const badAnswer = (why: string): GatewayError =>
  new GatewayError(
    502,
    "upstream_error",
    "bad_answer",
    `The node's answer cannot be used: ${why}; nothing was charged`,
  );
