import type { OpgPrice } from "../../pricing/OpgPrice.ts";
import { PriceUnavailableError } from "../../pricing/PriceSource.ts";
import type { TokenPrice } from "../../pricing/TokenPrice.ts";
import { tariffOf, type TariffOptions } from "../../pricing/tariffOf.ts";
import { type Tariff, tariffSchema } from "../../receipts/tariff.ts";
import { GatewayError } from "../GatewayError.ts";
import type { Offer } from "../NodeDirectory.ts";
import type { QuoteRequest } from "../channels/ChannelSeller.ts";

/** Time to sign a payment in; prices are asked for about as often. */
const HOLDS_MS = 60_000;

/** Other models than chat models count no tokens, whatever their node says of prices. */
export const isSoldByToken = ({ kind, tokenPrice }: Pick<Offer, "kind" | "tokenPrice">): boolean =>
  kind === "chat" && tokenPrice !== undefined;

/** What requests cost that are charged by use: by the token where tokens have a price, otherwise the model's fee. */
export class PriceList {
  readonly #opgPrice: OpgPrice | undefined;
  readonly #options: TariffOptions;
  /** What was told to clients, and until when it holds. Oldest first. */
  readonly #told = new Map<string, number>();
  /** By tokens' price in dollars, and the price of OPG it was computed with. */
  readonly #tariffs = new WeakMap<TokenPrice, { picoUsd: bigint; tariff: Tariff }>();

  /** @param opgPrice without it, models that are sold by the token cannot be charged by use. */
  constructor(opgPrice: OpgPrice | undefined, options: TariffOptions = {}) {
    this.#opgPrice = opgPrice;
    this.#options = options;
  }

  /** Tells a client what an offer costs: that holds for a minute. @throws GatewayError 503 price_unavailable */
  tell(offer: Priced): Tariff {
    const tariff = this.tariffFor(offer);
    const now = Date.now();
    for (const [key, untilMs] of this.#told) {
      if (untilMs >= now) break;
      this.#told.delete(key);
    }
    const key = tariffKey(offer, tariff);
    this.#told.delete(key);
    this.#told.set(key, now + HOLDS_MS);
    return tariff;
  }

  /** What a client was told an offer costs, if that still holds; otherwise the price now. @throws GatewayError 503 price_unavailable */
  asTold(offer: Priced, told: unknown): Tariff {
    const parsed = tariffSchema.safeParse(told);
    if (!parsed.success) return this.tariffFor(offer);
    const untilMs = this.#told.get(tariffKey(offer, parsed.data));
    return untilMs !== undefined && untilMs >= Date.now() ? parsed.data : this.tariffFor(offer);
  }

  /** Now. @throws GatewayError 503 price_unavailable */
  tariffFor(offer: Pick<Offer, "kind" | "tokenPrice" | "feeWei">): Tariff {
    const { tokenPrice, feeWei } = offer;
    if (!isSoldByToken(offer) || tokenPrice === undefined) return { baseWei: feeWei, inputWei: 0n, outputWei: 0n };
    try {
      if (this.#opgPrice === undefined) throw new PriceUnavailableError("No source of the price of OPG is configured");
      return this.#tariffOf(tokenPrice, this.#opgPrice.current());
    } catch (cause) {
      if (!(cause instanceof PriceUnavailableError)) throw cause;
      throw new GatewayError(
        503,
        "server_error",
        cause.code,
        "The price of OPG is not known for certain now, and tokens are priced in dollars; pay by `exact`, or try again later",
        { cause, retryAfterSeconds: 30 },
      );
    }
  }

  #tariffOf(tokenPrice: TokenPrice, picoUsd: bigint): Tariff {
    const known = this.#tariffs.get(tokenPrice);
    if (known?.picoUsd === picoUsd) return known.tariff;
    const tariff = tariffOf(tokenPrice, picoUsd, this.#options);
    this.#tariffs.set(tokenPrice, { picoUsd, tariff });
    return tariff;
  }
}

type Priced = Pick<Offer, "kind" | "modelId" | "tokenPrice" | "feeWei">;

const tariffKey = ({ modelId }: Priced, { baseWei, inputWei, outputWei }: Tariff): string =>
  [modelId, baseWei, inputWei, outputWei].join("/");

/** What a request costs through a channel: at most that much, and by what tariff. */
export const quoteBy =
  (prices: PriceList): QuoteRequest =>
  (offer, { bytes: raw, maxOutputTokens }) => {
    if (offer.tokenPrice === undefined) return { capWei: offer.feeWei };
    const tariff = prices.tariffFor({ ...offer, kind: "chat" });
    const request = { raw, ...(maxOutputTokens !== undefined && { maxOutputTokens }) };
    return { capWei: worstCaseWei(tariff, request, offer), tariff };
  };

/** For models that do not say how long their answers can be. */
const DEFAULT_OUTPUT_TOKENS = 4_096;

/**
 * The most that a request can cost, wei. A token is at least a byte of the body, what a model adds for each message fits into the JSON
 * around it, and an answer has no more tokens than the request or the model allows. Pictures that are only linked to are not bounded by
 * this: their fee is cut at what was reserved.
 */
export function worstCaseWei(
  { baseWei, inputWei, outputWei }: Tariff,
  { raw, maxOutputTokens }: { raw: Uint8Array; maxOutputTokens?: number },
  offer: Pick<Offer, "maxOutputTokens">,
): bigint {
  const most = offer.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS;
  const outputTokens = maxOutputTokens !== undefined && maxOutputTokens < most ? maxOutputTokens : most;
  return baseWei + inputWei * BigInt(raw.length) + outputWei * BigInt(outputTokens);
}
