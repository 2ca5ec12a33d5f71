import { canonicalJson } from "./canonicalJson.ts";
import { toJson } from "./json.ts";
import { keccak256 } from "./keccak.ts";
import { pythonJson } from "./pythonJson.ts";
import {
  canonicalToolCalls,
  chatRequestText,
  completionRequestText,
  inferenceRequestText,
  type RawBody,
} from "./requestText.ts";
import type { Hex } from "./types.ts";

/** The three paid routes: /v1/chat/completions, /v1/completions, /v1/inference. */
export type RequestKind = "chat" | "completion" | "inference";

/** A request as it is paid for: of a sealed one (/v1/ohttp), only the enclave knows which kind it is. */
export type PaidKind = RequestKind | "sealed";

const REQUEST_TEXT: Record<RequestKind, (body: RawBody) => string> = {
  chat: chatRequestText,
  completion: completionRequestText,
  inference: inferenceRequestText,
};

/**
 * `inputHash` of a receipt: keccak256 of the request's canonical text.
 * @param body the body exactly as the client sent it.
 * @throws InvalidJsonError, InvalidRequestError
 */
export const inputHash = (kind: RequestKind, body: RawBody): Hex => keccak256(REQUEST_TEXT[kind](body));

/** The part of an OpenAI chat message that is hashed. Its tool calls may carry more, such as a stream's `index`. */
export interface ChatOutput {
  content?: string | null | undefined;
  tool_calls?: readonly unknown[] | undefined;
}

/** `outputHash` of a chat answer: of its text, or, when it calls tools, of the calls in Python's JSON. */
export function chatOutputHash({ content, tool_calls: calls }: ChatOutput): Hex {
  return keccak256(calls?.length ? pythonJson(canonicalToolCalls(toJson(calls))) : (content ?? ""));
}

export const completionOutputHash = (text: string): Hex => keccak256(text);

/** `outputHash` of tensor outputs: of their RFC 8785 form. */
export const inferenceOutputHash = (outputs: unknown): Hex => keccak256(canonicalJson(toJson(outputs)));
