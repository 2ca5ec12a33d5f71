import { z } from "zod";

import type { CallOptions } from "../models/languageModel.ts";
import { definedOnly } from "./definedOnly.ts";
import { NodeError } from "./NodeError.ts";

const count = z.int().min(1).nullish();

/** The request members that chat and completions share. */
export const samplingShape = {
  model: z.string().min(1).max(256),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  max_tokens: count,
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  seed: z.int().nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  n: z.literal(1, { error: "only one choice per request is served" }).nullish(),
  best_of: z.literal(1, { error: "only one choice per request is served" }).nullish(),
} as const;

type Sampling = z.output<z.ZodObject<typeof samplingShape>>;

/**
 * The AI SDK's form of them. What is absent gets the value that a receipt's input hash stands for: OpenGradient hashes an absent temperature
 * as 0.0, so that is what the model is asked for.
 *
 * @param maxOutputTokens Most tokens the node gives for its fee, and what an absent limit means.
 * @throws NodeError 400 `max_tokens_too_large`.
 */
export function samplingOptions(request: Sampling, limit: number | null | undefined, maxOutputTokens: number) {
  if (limit != null && limit > maxOutputTokens) {
    throw new NodeError(400, "max_tokens_too_large", `max_tokens: at most ${maxOutputTokens}, found ${limit}`);
  }
  return {
    maxOutputTokens: limit ?? maxOutputTokens,
    temperature: request.temperature ?? 0,
    ...definedOnly({
      topP: request.top_p ?? undefined,
      seed: request.seed ?? undefined,
      presencePenalty: request.presence_penalty ?? undefined,
      frequencyPenalty: request.frequency_penalty ?? undefined,
      stopSequences: request.stop == null ? undefined : [request.stop].flat().filter((stop) => stop !== ""),
    }),
  } satisfies Partial<CallOptions>;
}

/** Parses a body by a schema. @throws NodeError 400 `invalid_request` that names the member. */
export function parseRequest<S extends z.ZodType>(schema: S, body: Uint8Array): z.output<S> {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    throw new NodeError(400, "invalid_json", "the body is not JSON");
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new NodeError(400, "invalid_request", z.prettifyError(parsed.error));
}
