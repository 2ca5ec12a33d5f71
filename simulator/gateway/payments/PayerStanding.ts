import { GatewayError } from "../GatewayError.ts";
import type { PaymentRail } from "../PaymentCollector.ts";
import type { RequestStore } from "../RequestStore.ts";
import type { PaidRequest, StoredRequest } from "../StoredRequest.ts";
import type { PayerBalances } from "./PayerBalances.ts";
import { refused, type SignedPayment } from "./SignedPayment.ts";

export interface PayerStandingOptions {
  store: RequestStore;
  rail: PaymentRail;
  balances: PayerBalances;
  /** What a payer may owe at most, wei. */
  exposureCapWei: bigint;
}

/** What a payer may be served for now. */
export interface Limits {
  /** Balance; with Permit2, what it may take of it. */
  fundsWei: bigint;
  /** Owed through the facilitator, this gateway's payments that are handed over included. */
  owedWei: bigint;
}

/** How much may be served to a payer on trust: never more than it holds, nor than the gateway is ready to lose. */
export class PayerStanding {
  readonly #options: PayerStandingOptions;

  constructor(options: PayerStandingOptions) {
    this.#options = options;
  }

  /** @throws GatewayError 503 when that cannot be looked up. */
  async limits({ authorization: { payer, method }, payload }: SignedPayment): Promise<Limits> {
    const { balances, rail } = this.#options;
    // who sponsors the approval settles it with the payment
    const allowance = method === "permit2" && !isSponsored(payload.extensions);
    const [balance, allowed, outstanding, defaulted] = await Promise.all([
      balances.of(payer),
      allowance ? balances.permit2AllowanceOf(payer) : undefined,
      rail.outstandingWei(payer),
      rail.defaultedWei(payer),
    ]).catch(uncheckable);
    return {
      fundsWei: allowed !== undefined && allowed < balance ? allowed : balance,
      owedWei: outstanding + defaulted,
    };
  }

  /**
   * Reserves the payment for a request, or returns the request that holds it. Nothing is awaited.
   * @throws GatewayError 402 or 429 when the payer owes too much.
   */
  reserve(paid: PaidRequest, { fundsWei, owedWei }: Limits): StoredRequest {
    const { store, exposureCapWei } = this.#options;
    const limitWei = fundsWei < exposureCapWei ? fundsWei : exposureCapWei;
    const tooMuch = (outstandingWei: bigint): GatewayError =>
      fundsWei < exposureCapWei
        ? refused(
            "insufficient_balance",
            `The payer can pay ${fundsWei} wei and has promised ${outstandingWei} already; this request costs up to ` +
              `${paid.amountWei}: add funds, or wait until what is promised has been settled`,
          )
        : new GatewayError(
            429,
            "rate_limit_error",
            "exposure_exceeded",
            `The payer has ${outstandingWei} wei of payments that are not settled yet; the limit is ${exposureCapWei}`,
            { retryAfterSeconds: 2 },
          );
    // the facilitator sees what the payer owes through other gateways too, the store what is not handed over yet
    if (owedWei + paid.amountWei > limitWei) throw tooMuch(owedWei);
    const reserved = store.reserve(paid, limitWei);
    if ("refused" in reserved) throw tooMuch(reserved.outstandingWei);
    return reserved;
  }
}

/** Whether the client has signed the approval of Permit2 along with the payment, by EIP-2612 or as a transaction. */
function isSponsored(extensions: Record<string, unknown> | undefined): boolean {
  return ["eip2612GasSponsoring", "erc20ApprovalGasSponsoring"].some((name) => {
    const info = (extensions?.[name] as { info?: object } | undefined)?.info;
    return info !== undefined && ("signature" in info || "signedTransaction" in info);
  });
}

/** The facilitator or the chain is away: the payment may be good, so it is not refused. */
export function uncheckable(cause: unknown): never {
  if (cause instanceof GatewayError) throw cause;
  throw new GatewayError(
    503,
    "server_error",
    "payment_check_unavailable",
    "The payment cannot be checked now; try again",
    { cause, retryAfterSeconds: 2 },
  );
}
