import { z } from "zod";

import { uint96Schema, UINT96_MAX } from "./types.ts";

/** What a request costs that is charged by use, wei of the payment's token. */
export interface Tariff {
  /** Of every request. */
  baseWei: bigint;
  /** Of a token of the request. */
  inputWei: bigint;
  /** Of a token of the answer. */
  outputWei: bigint;
}

/** Tokens of one request, as the answer's `usage` states them. */
export interface TokenUsage {
  inputTokens: number;
  outputTokens: number;
}

export const tariffSchema = z.strictObject({ baseWei: uint96Schema, inputWei: uint96Schema, outputWei: uint96Schema });

/** A tariff as JSON: wei are decimal strings. */
export const tariffToJson = ({ baseWei, inputWei, outputWei }: Tariff): z.input<typeof tariffSchema> => ({
  baseWei: baseWei.toString(),
  inputWei: inputWei.toString(),
  outputWei: outputWei.toString(),
});

/**
 * The fee of a receipt, wei.
 * @param usage undefined when the model tells none: only the base is charged then.
 * @param maxWei what the client has signed for.
 */
export function feeOf(tariff: Tariff, usage: TokenUsage | undefined, maxWei: bigint = UINT96_MAX): bigint {
  const { inputTokens, outputTokens } = usage ?? { inputTokens: 0, outputTokens: 0 };
  const fee = tariff.baseWei + tariff.inputWei * BigInt(inputTokens) + tariff.outputWei * BigInt(outputTokens);
  return fee < maxWei ? fee : maxWei;
}

/** OpenAI's `usage` of an answer; undefined where there is none. */
export function usageOf(answer: unknown): TokenUsage | undefined {
  // by hand: it is asked of every answer
  const usage = (answer as { usage?: unknown } | null | undefined)?.usage;
  const { prompt_tokens: input, completion_tokens: output } = (usage ?? {}) as Record<string, unknown>;
  return isCount(input) && isCount(output) ? { inputTokens: input, outputTokens: output } : undefined;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
