import type { Logger } from "pino";
import { AnswerFlight } from "../../nodes/AnswerFlight.ts";
import type { ModelOffer } from "../../nodes/InferenceNode.ts";
import { NodeError } from "../../nodes/NodeError.ts";
import type { PaidAnswer, ServeOptions, WrittenAlong } from "../../nodes/PaidAnswers.ts";
import type { NodePayment } from "../../nodes/paymentHeader.ts";
import type { ReceiptPlace } from "../../nodes/ReceiptPlaces.ts";
import type { RequestBody } from "../../nodes/RequestBody.ts";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import { SettlementHasher } from "../../receipts/eip712.ts";
import { requestIdForPayment } from "../../receipts/requestId.ts";
import type { Hex, SettlementDomain } from "../../receipts/types.ts";
import { asGatewayError, askNode, isConnectionError, type NodeQuestion } from "../askNode.ts";
import { badAnswer, type FinishedAnswer } from "../FinishedAnswer.ts";
import { GatewayError } from "../GatewayError.ts";
import { NodeDirectory, type NodeEndpoint, type Offer } from "../NodeDirectory.ts";
import { offersFor } from "../offers.ts";
import { limited, readNodeAnswer } from "../readNodeAnswer.ts";
import { checkFee, checkReceipt } from "../receiptCheck.ts";
import { SettlementLookup } from "../SettlementLookup.ts";
import type { ChannelSeller, SoldRequest } from "./ChannelSeller.ts";
import { RemotePurchases } from "./RemotePurchases.ts";

export interface RemoteSellerOptions {
  domain: SettlementDomain;
  /** How the node is reached. */
  node: NodeEndpoint;
  /** What it has to be; offers of another are not sold. */
  operator: Hex;
  payout: Hex;
  asset: Hex;
  /** The channels' books: what was bought and what it was charged are one commit. */
  commits: GroupCommit;
  logger: Logger;
  /** Default 120,000. */
  answerTimeoutMs?: number;
  /** The largest answer that is passed on. Default 16 MiB. */
  maxAnswerBytes?: number;
  /** How often the node is asked what it offers. Default 5,000. */
  pollMs?: number;
}

/**
 * A node in another process, whose answers channels pay for: asked by its private HTTP API, as for `exact` and `upto`. The node keeps answer
 * and receipt before it lets the end of the answer go; here that it is bought and its charge are written before that end goes on. What dies
 * in between is asked for again by the same voucher, and the node gives the same answer.
 */
export class RemoteSeller implements ChannelSeller {
  readonly operator: Hex;
  readonly payout: Hex;
  readonly asset: Hex;
  readonly #options: Required<RemoteSellerOptions>;
  readonly #directory: NodeDirectory;
  readonly #settlements: SettlementLookup;
  readonly #purchases: RemotePurchases;
  readonly #hasher: SettlementHasher;
  readonly #flights = new Map<Hex, AnswerFlight>();
  readonly #stopping = new AbortController();

  constructor(options: RemoteSellerOptions) {
    this.#options = { answerTimeoutMs: 120_000, maxAnswerBytes: 16 * 1024 * 1024, pollMs: 5_000, ...options };
    const { node, logger, pollMs, commits, domain } = this.#options;
    this.operator = options.operator.toLowerCase() as Hex;
    this.payout = options.payout.toLowerCase() as Hex;
    this.asset = options.asset.toLowerCase() as Hex;
    this.#directory = new NodeDirectory({ nodes: [node], logger, pollMs });
    this.#settlements = new SettlementLookup({ directory: this.#directory, logger });
    this.#purchases = new RemotePurchases(commits);
    this.#hasher = new SettlementHasher(domain);
  }

  /** Asks what the node offers, then keeps asking. Does not fail when it is away. */
  start(): Promise<void> {
    return this.#directory.start();
  }

  /** Ends what is under way with an error; nothing of it is charged. */
  async stop(): Promise<void> {
    this.#directory.stop();
    this.#stopping.abort();
    await Promise.all([...this.#flights.values()].map(({ ended }) => ended));
  }

  get offers(): readonly ModelOffer[] {
    return this.#directory
      .available()
      .filter((offer) => this.#isOurs(offer))
      .map(modelOffer);
  }

  read(body: RequestBody): SoldRequest {
    let offers: Offer[];
    try {
      offers = offersFor(this.#directory, { model: body.model, kind: body.kind });
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      throw new NodeError(error.status, error.code, error.message, { cause: error });
    }
    const offer = offers.find((each) => this.#isOurs(each));
    if (offer === undefined) {
      throw new NodeError(404, "model_not_found", `The node sells no "${body.model}" for ${this.operator}`);
    }
    if (!this.#directory.isUp(offer.node)) {
      throw new NodeError(503, "node_unreachable", "The node is not reachable; nothing was charged");
    }
    return { body, prepared: { offer: modelOffer(offer), streamed: body.streamed } };
  }

  bought(body: RequestBody, payment: NodePayment): PaidAnswer | undefined {
    const requestId = this.#requestId(payment);
    const flight = this.#flights.get(requestId);
    if (flight !== undefined) return flight;
    if (!this.#purchases.has(requestId)) return undefined;
    // the node has the answer, and gives it again
    return this.#begin(requestId, this.read(body), payment, () => Promise.resolve());
  }

  serve(request: SoldRequest, payment: NodePayment, along?: WrittenAlong, options?: ServeOptions): PaidAnswer {
    const known = options?.isNew === true ? undefined : this.bought(request.body, payment);
    if (known !== undefined) return known;
    const requestId = this.#requestId(payment);
    return this.#begin(requestId, request, payment, ({ proof: { receipt } }) =>
      this.#purchases.add(requestId, along && (() => along(receipt))),
    );
  }

  placeOf(requestId: Hex): Promise<ReceiptPlace | undefined> {
    return this.#settlements.at(this.#options.node.url, requestId);
  }

  #requestId(payment: NodePayment): Hex {
    return requestIdForPayment(this.#options.domain, this.operator, payment);
  }

  #isOurs({ operator, payTo }: Offer): boolean {
    return operator === this.operator && payTo === this.payout;
  }

  /** @param keep writes down what has to be durable before the end of the answer goes on. */
  #begin(
    requestId: Hex,
    { body, prepared }: SoldRequest,
    payment: NodePayment,
    keep: (finished: FinishedAnswer) => Promise<void>,
  ): PaidAnswer {
    // a request that has none is refused before anything is begun
    const { inputHash } = body;
    const flight = new AnswerFlight(requestId, body.bodyHash, prepared.streamed);
    this.#flights.set(requestId, flight);
    this.#ask(flight, { requestId, inputHash }, body, prepared, payment)
      .then(async (answer) => {
        await keep(answer);
        flight.receipt = answer.proof.receipt;
        flight.emit(answer.held.toString("utf8"));
        flight.end();
      })
      .catch((error: unknown) => {
        if (isConnectionError(error)) this.#directory.markDown(this.#options.node.url);
        this.#options.logger.warn({ requestId, err: error }, "inference failed");
        flight.fail(this.#stopping.signal.aborted ? stopping() : asGatewayError(error));
      })
      .finally(() => this.#flights.delete(requestId));
    return flight;
  }

  async #ask(
    flight: AnswerFlight,
    expected: { requestId: Hex; inputHash: Hex },
    { kind, bytes }: RequestBody,
    { offer, streamed }: SoldRequest["prepared"],
    payment: NodePayment,
  ): Promise<FinishedAnswer> {
    const { node, answerTimeoutMs, maxAnswerBytes } = this.#options;
    const { asset, payer, nonce, scope, feeWei: amountWei, tariff, settlement } = payment;
    const question: NodeQuestion = {
      ...{ kind, body: bytes, stream: streamed, modelId: offer.modelId, amountWei },
      payment: { asset, payer, nonce, scope },
      ...(tariff !== undefined && { tariff }),
      ...(settlement !== undefined && { settlement }),
    };
    const signal = AbortSignal.any([AbortSignal.timeout(answerTimeoutMs), this.#stopping.signal]);
    const response = await askNode(node, question, signal);
    const pieces = limited(response.body, maxAnswerBytes);
    const finished = await readNodeAnswer(streamed, response, pieces, (event) => flight.emit(event.toString("utf8")));
    const { proof, usage, answer } = finished;
    checkReceipt(this.#hasher, proof, { ...expected, modelId: offer.modelId, payer, settlement });
    checkFee(proof, usage, question);
    // a document's proof goes into a header as the document has it: its last member
    if (!streamed && !answer.body.toString("utf8").endsWith(`"opengradient":${answer.proof}}`)) {
      throw badAnswer("its receipt is not its last member");
    }
    return finished;
  }
}

const stopping = (): GatewayError =>
  new GatewayError(503, "server_error", "stopping", "The gateway is stopping; ask again with this payment");

const modelOffer = ({ model: id, modelId, feeWei, tokenPrice, maxOutputTokens }: Offer): ModelOffer => ({
  ...{ id, modelId, feeWei },
  ...(tokenPrice !== undefined && { tokenPrice }),
  ...(maxOutputTokens !== undefined && { maxOutputTokens }),
});
