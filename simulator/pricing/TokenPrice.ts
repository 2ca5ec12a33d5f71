import { z } from "zod";

/** What a model's tokens cost in US dollars, in units of 10^-12 (a picodollar): $0.15 for a million tokens is 150,000. */
export interface TokenPrice {
  /** Of a token of the request. */
  inputPicoUsd: bigint;
  /** Of a token of the answer. */
  outputPicoUsd: bigint;
}

/** Up to a dollar for a token. */
const picoUsdSchema = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,12})$/, "expected picodollars as a decimal integer in a string")
  .transform(BigInt);

export const tokenPriceSchema = z.strictObject({ inputPicoUsd: picoUsdSchema, outputPicoUsd: picoUsdSchema });

/** A price as JSON: picodollars are decimal strings. */
export const tokenPriceToJson = ({ inputPicoUsd, outputPicoUsd }: TokenPrice): z.input<typeof tokenPriceSchema> => ({
  inputPicoUsd: inputPicoUsd.toString(),
  outputPicoUsd: outputPicoUsd.toString(),
});
