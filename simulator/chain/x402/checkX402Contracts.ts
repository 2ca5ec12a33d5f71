import type { Provider } from "ethers";

import { x402Addresses } from "./x402Addresses.ts";
import type { X402ContractName } from "./x402Addresses.ts";

/** Ways to pay, as far as they differ in the contracts they need. `exact` is by ERC-3009, which needs only the token. */
export type X402Scheme = "exact" | "exact-permit2" | "upto" | "batch-settlement";

const NEEDED: Readonly<Record<X402Scheme, readonly X402ContractName[]>> = {
  exact: ["multicall3"],
  "exact-permit2": ["multicall3", "permit2", "exactPermit2Proxy"],
  upto: ["multicall3", "permit2", "uptoPermit2Proxy"],
  "batch-settlement": ["multicall3", "permit2", "batchSettlement", "erc3009Collector", "permit2Collector"],
};

/** Schemes are offered on a chain that has not the contracts they go through. */
export class X402ContractsMissingError extends Error {
  override readonly name = "X402ContractsMissingError";
  readonly code = "x402_contracts_missing";
  readonly missing: readonly X402ContractName[];

  constructor(chainId: bigint, missing: readonly X402ContractName[], schemes: readonly X402Scheme[]) {
    const lines = missing.map((name) => {
      const affected = schemes.filter((scheme) => NEEDED[scheme].includes(name));
      return `- ${name} at ${x402Addresses[name]}, for ${affected.join(", ")}`;
    });
    super(
      `Chain ${chainId} has no code at addresses that x402 fixes:\n${lines.join("\n")}\n` +
        "On a local chain call installLocalX402 (docs/contracts/local-payments.md). On a public one do not offer these schemes, until x402's authors have deployed there.",
    );
    this.missing = missing;
  }
}

/**
 * Checks that a chain has the contracts that schemes need, so that one finds out at start and not when somebody pays.
 * @throws X402ContractsMissingError naming those without code.
 */
export async function checkX402Contracts(
  provider: Pick<Provider, "getCode" | "getNetwork">,
  schemes: readonly X402Scheme[],
): Promise<void> {
  const names = [...new Set(schemes.flatMap((scheme) => NEEDED[scheme]))];
  const codes = await Promise.all(names.map((name) => provider.getCode(x402Addresses[name])));
  const missing = names.filter((_, i) => codes[i] === "0x");
  if (missing.length === 0) return;
  const { chainId } = await provider.getNetwork();
  throw new X402ContractsMissingError(chainId, missing, schemes);
}
