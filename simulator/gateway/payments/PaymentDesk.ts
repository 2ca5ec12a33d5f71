import type { PaymentRequirements } from "@x402/core/types";
import type { Offer } from "../NodeDirectory.ts";
import type { ModelRequest } from "../requestSchemas.ts";
import type { Admit, PaymentLane, PaymentMethod, Purchase } from "./PaymentMethod.ts";
import { isSoldByToken } from "./PriceList.ts";
import { decodeHeader, readPayment, refused, schemeOf } from "./SignedPayment.ts";

/** More than these make the header long, and the client takes the first anyway. */
const MAX_OFFERS = 4;

/** By use first where tokens have a price, by a fixed fee first elsewhere: clients take the first scheme they know. */
const BY_TOKEN = ["upto/permit2", "exact/eip3009", "exact/permit2"] as const;
const BY_REQUEST = ["exact/eip3009", "upto/permit2", "exact/permit2"] as const;

/** All ways to pay. */
export class PaymentDesk {
  readonly #methods: readonly PaymentMethod[];
  readonly #lanes: readonly PaymentLane[];

  constructor(methods: readonly PaymentMethod[], lanes: readonly PaymentLane[]) {
    this.#methods = methods;
    this.#lanes = lanes;
  }

  /** What can be signed for a request, the best first, each once. */
  async accepts(offers: readonly Offer[], request: ModelRequest): Promise<PaymentRequirements[]> {
    const found = new Map<string, PaymentRequirements>();
    const distinct = new Map(offers.map((offer) => [`${offer.payTo}/${offer.feeWei}/${isSoldByToken(offer)}`, offer]));
    for (const offer of [...distinct.values()].slice(0, MAX_OFFERS)) {
      for (const kind of isSoldByToken(offer) ? BY_TOKEN : BY_REQUEST) {
        const requirements = await this.#methods.find((method) => method.kind === kind)?.requirements(offer, request);
        if (requirements !== undefined) found.set(JSON.stringify(requirements), requirements);
      }
      for (const lane of this.#lanes) {
        for (const extra of await lane.extraRequirements(offer, request)) found.set(JSON.stringify(extra), extra);
      }
    }
    return [...found.values()];
  }

  /** A payment that is another lane's business, decoded. */
  laneOf(header: string): { lane: PaymentLane; payment: unknown } | undefined {
    if (this.#lanes.length === 0) return undefined;
    const payment = decodeHeader(header);
    const scheme = schemeOf(payment);
    const lane = this.#lanes.find((candidate) => candidate.scheme === scheme);
    return lane && { lane, payment };
  }

  /**
   * Exchanges a payment for one answer.
   * @param header PAYMENT-SIGNATURE.
   * @throws GatewayError 402 when the payment does not buy this request.
   */
  async buy(request: ModelRequest, header: string, admit: Admit): Promise<Purchase> {
    const payment = readPayment(decodeHeader(header));
    const method = this.#methods.find(({ kind }) => kind === payment.kind);
    if (method !== undefined) return method.buy(request, payment, admit);
    throw refused("no_matching_requirements", `Payments ${payment.kind} are not taken here: sign one of \`accepts\``);
  }
}
