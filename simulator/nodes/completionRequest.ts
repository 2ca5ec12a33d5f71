import { z } from "zod";

import type { ChatCall } from "./chatRequest.ts";
import { parseRequest, samplingOptions, samplingShape } from "./samplingParameters.ts";

export const completionRequestSchema = z.looseObject({
  ...samplingShape,
  prompt: z.union([z.string(), z.tuple([z.string()]).transform(([prompt]) => prompt)], {
    error: "expected one prompt as a string",
  }),
  echo: z.literal(false, { error: "echo is not served" }).nullish(),
  suffix: z.null({ error: "suffix is not served" }).optional(),
  logprobs: z.null({ error: "log probabilities are not served" }).optional(),
});

/**
 * Reads the body of `POST /v1/completions`. The prompt becomes a user message, since today's models are chat models; the local text model is told to
 * go on in the middle of the sentence.
 *
 * @throws NodeError 400.
 */
export function parseCompletionRequest(body: Uint8Array, maxOutputTokens: number): ChatCall {
  const request = parseRequest(completionRequestSchema, body);
  return {
    model: request.model,
    streamed: request.stream ?? false,
    options: {
      prompt: [{ role: "user", content: [{ type: "text", text: request.prompt }] }],
      ...samplingOptions(request, request.max_tokens, maxOutputTokens),
      providerOptions: { opengradient: { continue: true } },
    },
  };
}
