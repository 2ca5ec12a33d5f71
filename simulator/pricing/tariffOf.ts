import type { Tariff } from "../receipts/tariff.ts";
import { UINT96_MAX } from "../receipts/types.ts";
import { PriceUnavailableError } from "./PriceSource.ts";
import type { TokenPrice } from "./TokenPrice.ts";

export interface TariffOptions {
  /** Added to the price for what it may move until the payment is on chain, hundredths of a percent. Default 0. */
  marginBps?: number;
  /** Of every request, wei. Default 0. */
  baseWei?: bigint;
}

const WEI = 10n ** 18n;
const BPS = 10_000n;

/**
 * What a model's tokens cost in wei of OPG, rounded up: what has a price is never free.
 * @param opgPicoUsd picodollars for one OPG.
 * @throws PriceUnavailableError when it is not positive, or so small that a token costs more than fits 96 bits.
 */
export function tariffOf(
  { inputPicoUsd, outputPicoUsd }: TokenPrice,
  opgPicoUsd: bigint,
  { marginBps = 0, baseWei = 0n }: TariffOptions = {},
): Tariff {
  if (opgPicoUsd <= 0n) throw new PriceUnavailableError(`Expected a positive price of OPG, found ${opgPicoUsd}`);
  const weiOf = (picoUsd: bigint): bigint => {
    const wei = ceilDiv(picoUsd * WEI * (BPS + BigInt(marginBps)), opgPicoUsd * BPS);
    if (wei <= UINT96_MAX) return wei;
    throw new PriceUnavailableError(
      `At ${opgPicoUsd} picodollars for one OPG a token costs ${wei} wei, which is too much`,
    );
  };
  return { baseWei, inputWei: weiOf(inputPicoUsd), outputWei: weiOf(outputPicoUsd) };
}

const ceilDiv = (dividend: bigint, divisor: bigint): bigint => (dividend + divisor - 1n) / divisor;
