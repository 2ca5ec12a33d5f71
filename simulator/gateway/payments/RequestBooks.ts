import type { PaymentCollector } from "../PaymentCollector.ts";
import type { RequestStore } from "../RequestStore.ts";
import type { StoredAnswer, StoredRequest } from "../StoredRequest.ts";
import type { SessionKeeper } from "./SessionKeeper.ts";

export interface RequestBooksOptions {
  store: RequestStore;
  collector: PaymentCollector;
  keeper: SessionKeeper;
}

/** Writes down what becomes of reserved requests, whichever way they are paid. */
export class RequestBooks {
  readonly #options: RequestBooksOptions;

  constructor(options: RequestBooksOptions) {
    this.#options = options;
  }

  /**
   * The request is answered: answer and charge are made durable, and the payment is due. Resolves when the proof may go.
   * @throws GatewayError when the answer must be withheld.
   */
  async answered(request: StoredRequest, answer: StoredAnswer): Promise<void> {
    const { store, collector, keeper } = this.#options;
    if (request.session !== undefined) return keeper.charge(request, answer);
    await store.markAnswered(request.key, answer, Date.now());
    const { own } = request;
    if (own !== undefined) await collector.collect({ ...request, own, status: "answered", answer });
  }

  /** It failed: nothing is due, and what was reserved for it is free. What is answered already stays as it is. */
  failed(request: StoredRequest): void {
    const { store, keeper } = this.#options;
    if (store.find(request.key)?.status !== "reserved") return;
    if (request.session !== undefined) keeper.released(request);
    store.releaseReserved(request.key);
  }
}
