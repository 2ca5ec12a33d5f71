import type { PaidKind, RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import { jsonOf } from "./JsonText.ts";
import type { NodeError } from "./NodeError.ts";
import { DONE_EVENT, serverSentEvent } from "./serverSentEvent.ts";

/** How one answer is written down, stored and sent; and what its receipt says of it. */
export interface AnswerForm {
  readonly kind: PaidKind;
  /** A part of an event stream. */
  event(chunk: object): string;
  /** The end of an event stream, or a whole answer. */
  end(answer: object): string;
  /** The end of an event stream that failed; absent where whoever sends it tells the failure. */
  failure?(error: NodeError): string;
  /** A hash of the request or the answer, as the receipt states it. */
  receiptHash(what: "input" | "output", hash: Hex): Hex;
}

const openForms = (end: AnswerForm["end"]): Readonly<Record<RequestKind, AnswerForm>> => {
  const form = { event: serverSentEvent, end, receiptHash: (_what: string, hash: Hex) => hash };
  return {
    chat: { kind: "chat", ...form },
    completion: { kind: "completion", ...form },
    inference: { kind: "inference", ...form },
  };
};
const WHOLE = openForms(jsonOf);
const STREAMED = openForms((answer) => serverSentEvent(answer) + DONE_EVENT);

/** OpenAI's: JSON, or server-sent events. */
export const openForm = (kind: RequestKind, streamed: boolean): AnswerForm => (streamed ? STREAMED : WHOLE)[kind];
