import type { PaymentRequirements, VerifyResponse } from "@x402/core/types";
import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { MAX_AMOUNT, permit2DomainSeparator } from "./paymentDigest.ts";
import type { Charge } from "./payment.ts";
import { PayerStates } from "./PayerStates.ts";
import type { QuickContext } from "./quickContext.ts";
import { checkPermit } from "./quickVerifyPermit.ts";
import { checkTransfer } from "./quickVerifyTransfer.ts";

export interface QuickVerifierOptions {
  provider: Provider;
  chainId: bigint;
  /** The account that would settle, lower case. */
  facilitator: Hex;
  /**
   * Tokens, lower case, whose transfers fail for want of balance, allowance or a good authorization and for nothing else; others may be
   * paused, or block accounts, and are simulated.
   */
  tokens: readonly Hex[];
  /** How long a payer's balance and allowance are taken for what they were. Default 1500. */
  cacheMs?: number;
}

/**
 * Verifies payments of ordinary accounts as the x402 packages do, with the same verdicts and reasons, for less than half the work: the
 * signature by libsecp256k1, the state of the chain by one call for all payments that are waiting, and remembered for a moment.
 */
export class QuickVerifier {
  readonly #options: QuickVerifierOptions;
  readonly #states: PayerStates;
  readonly #tokens: ReadonlySet<Hex>;
  readonly #permit2Domain: Hex;

  constructor(options: QuickVerifierOptions) {
    const { provider, tokens, chainId, cacheMs = 1_500 } = options;
    this.#options = options;
    this.#tokens = new Set(tokens);
    this.#states = new PayerStates(provider, cacheMs);
    this.#permit2Domain = permit2DomainSeparator(chainId);
  }

  /** @returns undefined when only the x402 packages can tell, as for contracts and sponsored approvals. Chain errors are thrown. */
  async verify(payment: Charge, requirements: PaymentRequirements): Promise<VerifyResponse | undefined> {
    if (!this.#isPlain(payment, requirements)) return undefined;
    const context: QuickContext = {
      ...this.#options,
      permit2Domain: this.#permit2Domain,
      states: this.#states,
      nowSeconds: BigInt(Math.floor(Date.now() / 1000)),
    };
    const check = payment.kind === "exact/eip3009" ? checkTransfer : checkPermit;
    const verdict = await check(payment, requirements, context);
    if (verdict === "unsure") return undefined;
    const payer = payerOf(payment);
    return verdict.reason === undefined
      ? { isValid: true, payer }
      : { isValid: false, invalidReason: verdict.reason, payer };
  }

  #isPlain({ authorization, network, payload }: Charge, requirements: PaymentRequirements): boolean {
    const { asset, payer, payTo, valueWei, validAfter, validBefore } = authorization;
    return (
      this.#tokens.has(asset) &&
      network === `eip155:${this.#options.chainId}` &&
      requirements.asset.toLowerCase() === asset &&
      [valueWei, validAfter, validBefore, BigInt(requirements.amount)].every((value) => value <= MAX_AMOUNT) &&
      valueWei > 0n &&
      BigInt(payer) !== 0n &&
      BigInt(payTo) !== 0n &&
      !Object.entries(payload.extensions ?? {}).some(([key, value]) => key.endsWith("GasSponsoring") && isSigned(value))
    );
  }
}

/** Stock clients send back what the seller declares, also when they have nothing to be sponsored. */
function isSigned(extension: unknown): boolean {
  const info: unknown = (extension as { info?: unknown } | null)?.info;
  return typeof info !== "object" || info === null || "signature" in info || "signedTransaction" in info;
}

/** As it was spelled: the packages return it so. */
function payerOf({ payload }: Charge): string {
  const { authorization, permit2Authorization } = payload.payload as {
    authorization?: { from: string };
    permit2Authorization?: { from: string };
  };
  return (authorization ?? permit2Authorization)!.from;
}
