import type { JsonRpcProvider } from "ethers";

/** EIP-1559 fees of one transaction, wei per gas. */
export interface Fees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** What the chain asks at the moment. */
export interface FeeMarket extends Fees {
  readonly baseFeePerGas: bigint;
  /** Newest block when it was asked. */
  readonly blockNumber: number;
}

/** The chain has no base fee: it is older than EIP-1559. */
export class UnsupportedFeeMarketError extends Error {
  override readonly name = "UnsupportedFeeMarketError";
  readonly code = "unsupported_fee_market";
}

/** Fees that stay good while the base fee doubles (six full blocks). @throws UnsupportedFeeMarketError */
export async function marketFees(provider: JsonRpcProvider): Promise<FeeMarket> {
  const [block, tip] = await Promise.all([
    provider.getBlock("latest"),
    provider.send("eth_maxPriorityFeePerGas", []) as Promise<string>,
  ]);
  if (block?.baseFeePerGas == null) {
    throw new UnsupportedFeeMarketError("Expected a chain with EIP-1559 fees; its newest block has no base fee");
  }
  const maxPriorityFeePerGas = BigInt(tip);
  return {
    baseFeePerGas: block.baseFeePerGas,
    blockNumber: block.number,
    maxPriorityFeePerGas,
    maxFeePerGas: 2n * block.baseFeePerGas + maxPriorityFeePerGas,
  };
}

/** Nodes take a replacement that pays a tenth more in both fees (geth's `txpool.pricebump`). */
const MINIMUM_BUMP_PERCENT = 10n;

/**
 * Fees with which a transaction can replace one that paid `previous`: `percent` more, or the market's when that is higher.
 * @returns undefined when `maxFeePerGasLimit` leaves no room.
 */
export function bumpFees(
  previous: Fees,
  market: Fees,
  percent: bigint,
  maxFeePerGasLimit: bigint | undefined,
): Fees | undefined {
  const bumped = (fee: bigint, by: bigint) => (fee * (100n + by) + 99n) / 100n;
  const raised = {
    maxFeePerGas: bumped(previous.maxFeePerGas, percent),
    maxPriorityFeePerGas: bumped(previous.maxPriorityFeePerGas, percent),
  };
  const next = limitFees(higherFees(raised, market), maxFeePerGasLimit);
  const enough =
    next.maxFeePerGas >= bumped(previous.maxFeePerGas, MINIMUM_BUMP_PERCENT) &&
    next.maxPriorityFeePerGas >= bumped(previous.maxPriorityFeePerGas, MINIMUM_BUMP_PERCENT);
  return enough ? next : undefined;
}

/** The higher of both, fee by fee. */
export function higherFees(a: Fees, b: Fees): Fees {
  return {
    maxFeePerGas: max(a.maxFeePerGas, b.maxFeePerGas),
    maxPriorityFeePerGas: max(a.maxPriorityFeePerGas, b.maxPriorityFeePerGas),
  };
}

/** The fees, but never more than `maxFeePerGasLimit` per gas in all. */
export function limitFees({ maxFeePerGas, maxPriorityFeePerGas }: Fees, maxFeePerGasLimit: bigint | undefined): Fees {
  const limit = maxFeePerGasLimit ?? maxFeePerGas;
  return {
    maxFeePerGas: min(maxFeePerGas, limit),
    maxPriorityFeePerGas: min(maxPriorityFeePerGas, limit),
  };
}

const min = (a: bigint, b: bigint) => (a < b ? a : b);
const max = (a: bigint, b: bigint) => (a > b ? a : b);
