import type { ModelOffer } from "../../nodes/InferenceNode.ts";
import type { PaidAnswer, ServeOptions, WrittenAlong } from "../../nodes/PaidAnswers.ts";
import type { NodePayment } from "../../nodes/paymentHeader.ts";
import type { ReceiptPlace } from "../../nodes/ReceiptPlaces.ts";
import type { RequestBody } from "../../nodes/RequestBody.ts";
import type { Tariff } from "../../receipts/tariff.ts";
import type { Hex } from "../../receipts/types.ts";

/** A request that its seller has read. */
export interface SoldRequest {
  body: RequestBody;
  prepared: { offer: ModelOffer; streamed: boolean };
}

/** A node whose answers channels pay for: an `InferenceNode` in the same process, or a `RemoteSeller` of one in another. */
export interface ChannelSeller {
  readonly operator: Hex;
  readonly payout: Hex;
  readonly asset: Hex;
  readonly offers: readonly ModelOffer[];
  /** @throws NodeError */
  read(body: RequestBody): SoldRequest;
  /** Where the receipt of an answer is settled, as far as that is known. */
  placeOf(requestId: Hex): ReceiptPlace | undefined | Promise<ReceiptPlace | undefined>;
  /** @throws NodeError */
  bought(body: RequestBody, payment: NodePayment): PaidAnswer | undefined;
  /**
   * @param request as its own `read` has read it.
   * @throws NodeError
   */
  serve(request: SoldRequest, payment: NodePayment, along?: WrittenAlong, options?: ServeOptions): PaidAnswer;
}

/** What a request costs: at most `capWei`, and where it is charged by use, what `tariff` makes of its tokens. */
export interface Quote {
  capWei: bigint;
  /** What a client must have accepted at least, as the most. Default: `capWei`. */
  leastWei?: bigint;
  tariff?: Tariff;
}

/** The price of a request now. @throws GatewayError 503 while it is not known. */
export type QuoteRequest = (
  offer: Pick<ModelOffer, "feeWei" | "tokenPrice" | "maxOutputTokens">,
  body: QuotedBody,
) => Quote;

/** What the price of a request depends on. */
export interface QuotedBody {
  bytes: Uint8Array;
  /** As the request limits its answer. */
  maxOutputTokens: number | undefined;
}

/** A fixed fee for each request. */
export const flatFee: QuoteRequest = ({ feeWei }) => ({ capWei: feeWei });
