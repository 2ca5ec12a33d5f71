import { z } from "zod";
import type { TokenUsage } from "../receipts/tariff.ts";
import { VerificationError } from "./ClientError.ts";

const limit = z.int().min(1).nullish();
const boundsSchema = z.looseObject({
  max_tokens: limit,
  max_completion_tokens: limit,
  messages: z.array(z.looseObject({ content: z.unknown() })).optional(),
});

/**
 * Tokens are what the node counts, and no receipt covers them: what can be told from here is that they are not too many. A token is at least a byte of
 * the request, and what a model adds for each message fits into the JSON around it. Pictures behind links count more than their links.
 * @throws VerificationError implausible_usage
 */
export function requirePlausible(usage: TokenUsage | undefined, body: Buffer): void {
  const parsed = boundsSchema.safeParse(JSON.parse(body.toString("utf8")));
  if (usage === undefined || !parsed.success) return;
  const { max_tokens, max_completion_tokens, messages = [] } = parsed.data;
  const isText = messages.every(
    ({ content }) => typeof content === "string" || content === null || content === undefined,
  );
  if (isText && usage.inputTokens > body.length) {
    throw implausible(`${usage.inputTokens} tokens are charged for a request of ${body.length} bytes`);
  }
  const most = max_completion_tokens ?? max_tokens;
  if (typeof most === "number" && usage.outputTokens > most) {
    throw implausible(`${usage.outputTokens} tokens are charged for an answer of at most ${most}`);
  }
}

const implausible = (message: string): VerificationError => new VerificationError("implausible_usage", message);
