import { setTimeout as pause } from "node:timers/promises";
import type { SettleResponse } from "@x402/core/types";
import { z } from "zod";
import { blindedHash } from "../ohttp/blindedHash.ts";
import { SettlementHasher } from "../receipts/eip712.ts";
import { inputHash } from "../receipts/hashes.ts";
import { requestHash } from "../receipts/requestHash.ts";
import { SETTLEMENT_HEADERS, settlementTypeOf } from "../receipts/settlementType.ts";
import { usageOf } from "../receipts/tariff.ts";
import { teeRequestHash } from "../receipts/teeReceipt.ts";
import { bytes32Schema, Mode, type Hex, type SettlementDomain } from "../receipts/types.ts";
import type { Channel } from "./ChannelStore.ts";
import { PaymentDeclinedError, VerificationError } from "./ClientError.ts";
import { checkPaymentResponse } from "./checkPaymentResponse.ts";
import { checkReceipt } from "./checkReceipt.ts";
import { checkTeeAnswer, teeOutputHashOf, type TeeKey } from "./checkTeeAnswer.ts";
import { expectedFee } from "./expectedFee.ts";
import { requirePlausible } from "./plausibleUsage.ts";
import { kindOf, readRequest, type OutgoingRequest } from "./OutgoingRequest.ts";
import { Payer, type OpenPayment } from "./Payer.ts";
import { outputHashOf } from "./readAnswer.ts";
import { isStream, noticingEnd, parseAnswer, readWhole } from "./receivedAnswers.ts";
import type { VerifiedReceipt } from "./ReceiptBook.ts";
import { requireNothingToSeal, SealedExchange, type SealingKeyLookup } from "./SealedExchange.ts";
import { IDEMPOTENCY_HEADER, paymentKeyOf } from "./SignedPayment.ts";
import { payerOptions, type PaymentOptions } from "./paymentOptions.ts";
import type { SignerDirectory } from "./SignerDirectory.ts";
import { streamVerifier } from "./StreamVerifier.ts";
import type { ZkDirectory } from "../zkml/ZkDirectory.ts";
import { modeAskedFor, requireProvable, zkAnswerHashes } from "./zkAnswer.ts";
import { UnansweredPayments, type UnansweredPayment } from "./UnansweredPayments.ts";

/** Which version of a model a name means, as the client knows it: from ModelRegistry, or pinned. */
export interface ModelDirectory {
  /** undefined: any version will do. */
  modelIdOf(model: string): Promise<Hex | undefined>;
}

export interface VerifyingFetchOptions extends PaymentOptions {
  /** The ProofSettlement that receipts must be for, and its chain. */
  domain: SettlementDomain;
  signers: SignerDirectory;
  models?: ModelDirectory;
  /** What answers of zk models are checked with: their receipts are about words. Without it such answers are refused. */
  zk?: ZkDirectory;
  /** Verification modes that will do. Default: all. */
  modes?: readonly Mode[];
  /** The enclave whose second signature, OpenGradient's, answers must carry too. Default: none. */
  tee?: TeeKey;
  /** Seals requests for an enclave, so that nobody on the way reads them or their answers (docs/sealed-inputs.md). Default: they are not. */
  sealing?: SealingKeyLookup;
  /** Called with every receipt that was checked, before its answer is handed on. */
  onReceipt?: (receipt: VerifiedReceipt) => void;
  /** Called with why an answer that was paid for is refused. */
  onRefusal?: (error: VerificationError) => void;
  /** Default: the global one. */
  fetch?: typeof fetch;
  /** How often a request whose connection was lost is sent again, with the same payment. Default 3. */
  retries?: number;
  /** Before the first of them; doubles. Default 250. */
  retryPauseMs?: number;
  /** How far the node's clock may be from this one. Default 300. */
  clockToleranceSeconds?: number;
  /** Unix seconds. Default: this machine's clock. */
  nowSeconds?: () => number;
}

/** The whole answer, or the chunk of a stream that carries its proof. */
interface ReceivedAnswer {
  answer: Record<string, unknown>;
  outputHash: Hex;
  teeHash: Hex;
  /** PAYMENT-RESPONSE. */
  stated: string | null;
}

interface Exchange {
  response: Response;
  payment?: UnansweredPayment;
}

const MAX_REFUSALS = 1_000;
/** The payment bought nothing; x402's servers say 412 where Permit2 lacks an allowance. */
const REFUSED_PAYMENT: ReadonlySet<number> = new Set([402, 412]);

/**
 * A `fetch` for any OpenAI client that pays for inference and hands on only what is proven: requests to the three paid routes are paid
 * with OPG, their answers checked against their receipts. Everything else passes through.
 * @example new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "none", fetch: createVerifyingFetch({ … }) })
 * @throws (the returned function) VerificationError, PaymentDeclinedError. OpenAI's client wraps them: `error.cause`.
 */
export function createVerifyingFetch(options: VerifyingFetchOptions): typeof fetch {
  const verifying = new VerifyingFetch(options);
  return (input, init) => verifying.fetch(input, init);
}

/** What is behind `createVerifyingFetch`, for those who choose among several gateways. */
export class VerifyingFetch {
  readonly #options: VerifyingFetchOptions;
  readonly #payer: Payer;
  readonly #hasher: SettlementHasher;
  readonly #unanswered = new UnansweredPayments();
  readonly #refusals = new Map<string, VerificationError>();
  readonly #send: typeof fetch;
  readonly #now: () => number;

  constructor(options: VerifyingFetchOptions) {
    this.#options = options;
    this.#payer = new Payer(payerOptions(options, options.domain.chainId));
    this.#hasher = new SettlementHasher(options.domain);
    this.#send = options.fetch ?? fetch;
    this.#now = options.nowSeconds ?? (() => Math.floor(Date.now() / 1000));
  }

  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init);
    const kind = kindOf(request);
    if (kind !== undefined) return this.answer(await readRequest(kind, request));
    if (this.#options.sealing !== undefined) requireNothingToSeal(request);
    return this.#send(request);
  }

  /** Whether a request was paid for here before, so that elsewhere it would be paid for again. */
  owes({ fingerprint, isRetry }: OutgoingRequest): boolean {
    return this.#unanswered.has(fingerprint, this.#now()) || (isRetry && this.#refusals.has(fingerprint));
  }

  /**
   * Pays for one request, and verifies its answer.
   * @param onPaid called before the payment leaves.
   */
  async answer(outgoing: OutgoingRequest, onPaid?: () => void): Promise<Response> {
    const { kind, fingerprint, isRetry, body } = outgoing;
    // it was paid for and its answer refused: a client that retries by itself would only pay again
    const refusal = this.#refusals.get(fingerprint);
    if (refusal !== undefined && isRetry) throw refusal;
    this.#refusals.delete(fingerprint);

    // computed first: what cannot be hashed cannot be checked, so it is not paid for
    const hash = inputHash(kind, body);
    const { response, payment } = await this.#exchange(outgoing, onPaid);
    if (!response.ok) {
      if (payment !== undefined) await this.#payer.fail(payment, response.headers.get("payment-response"));
      const refused = REFUSED_PAYMENT.has(response.status) || payment?.sealed?.stale === true;
      const bought = payment !== undefined && !refused;
      if (bought) this.#unanswered.put(fingerprint, payment);
      return response;
    }
    if (payment === undefined)
      throw new VerificationError("unpaid_answer", "The answer came without a payment, so its receipt cannot be ours");
    return this.#verified(outgoing, hash, response, payment);
  }

  /** Channels that pay for requests here. */
  channels(): Promise<Channel[]> {
    return this.#payer.channels();
  }

  /**
   * Has the gateway pay back, without a transaction of ours, what its channels hold unspent.
   * @param url of one of its paid routes.
   * @returns x402's account of each refund; none where there is nothing to pay back.
   */
  refund(url: string): Promise<SettleResponse[]> {
    return this.#payer.refund(this.#send, url);
  }

  /** Sends until there is an answer, paying once. */
  async #exchange(outgoing: OutgoingRequest, onPaid?: () => void): Promise<Exchange> {
    const { retries = 3, retryPauseMs = 250, sealing } = this.#options;
    let payment = this.#unanswered.take(outgoing.fingerprint, this.#now());
    const sealed = payment?.sealed ?? (sealing && (await SealedExchange.seal(outgoing, sealing)));
    const wire = sealed === undefined ? outgoing : sealed.wire(outgoing);
    const sent = (signed: OpenPayment): void => {
      const sentAt = payment?.header === signed.header ? payment.sentAt : this.#now();
      const key = paymentKeyOf(signed, () => {
        const given = signed.idempotencyKey ?? wire.headers.get(IDEMPOTENCY_HEADER) ?? undefined;
        return requestHash(sealed === undefined ? wire.kind : "sealed", wire.body, given);
      });
      payment = { ...signed, key, sentAt, ...(sealed && { sealed }) };
      onPaid?.();
    };
    for (let attempt = 0; ; attempt++) {
      try {
        const { response: received } = await this.#payer.send(this.#send, wire, sent, payment);
        const response = sealed === undefined ? received : await sealed.open(received);
        // read here, so that an answer cut short is asked for again
        const whole = isStream(response) ? response : await readWhole(response);
        return { response: whole, ...(payment !== undefined && { payment }) };
      } catch (error) {
        if (payment !== undefined) this.#payer.release(payment);
        const refused = error instanceof PaymentDeclinedError || error instanceof VerificationError;
        const final = attempt >= retries || outgoing.signal.aborted || refused;
        if (payment === undefined || final) {
          if (payment !== undefined) this.#unanswered.put(outgoing.fingerprint, payment);
          throw error;
        }
        await pause(retryPauseMs * 2 ** attempt);
      }
    }
  }

  async #verified(
    outgoing: OutgoingRequest,
    hash: Hex,
    response: Response,
    payment: UnansweredPayment,
  ): Promise<Response> {
    const { kind, fingerprint } = outgoing;
    const { status, headers } = response;
    const stated = headers.get("payment-response");
    const verify = (received: ReceivedAnswer): Promise<void> => this.#verify(outgoing, hash, payment, received);
    if (isStream(response) && response.body !== null) {
      const onUnanswered = (): void => {
        this.#payer.release(payment);
        this.#unanswered.put(fingerprint, payment);
      };
      const onRefusal = (error: VerificationError): void => {
        this.#payer.reject(payment);
        this.#options.onRefusal?.(error);
      };
      const verifier = streamVerifier({
        kind,
        verify: (answer, outputHash, statedLast) =>
          verify({ answer, outputHash, teeHash: outputHash, stated: statedLast ?? stated }),
        onUnanswered,
        onRefusal,
      });
      const onLeft = (): void => this.#payer.release(payment);
      const body = ReadableStream.from(noticingEnd(response.body, onUnanswered, onLeft));
      return new Response(body.pipeThrough(verifier), { status, headers });
    }
    const text = await response.text();
    try {
      const answer = parseAnswer(text);
      const outputHash = outputHashOf(kind, answer);
      const teeHash = this.#options.tee === undefined ? outputHash : teeOutputHashOf(kind, text);
      await verify({ answer, outputHash, teeHash, stated });
    } catch (error) {
      if (error instanceof VerificationError) {
        this.#payer.reject(payment);
        this.#remember(fingerprint, error);
        this.#options.onRefusal?.(error);
      } else {
        // it could not be checked, as when the chain is not reached: the payment is good for the answer again
        this.#payer.release(payment);
        this.#unanswered.put(fingerprint, payment);
      }
      throw error;
    }
    return new Response(text, { status, headers });
  }

  async #verify(
    { kind, body, headers }: OutgoingRequest,
    hash: Hex,
    payment: UnansweredPayment,
    { answer, outputHash, teeHash, stated }: ReceivedAnswer,
  ): Promise<void> {
    const { authorization, key, sentAt, sealed } = payment;
    const privateSalt = sealed === undefined && asksForPrivacy(headers) ? saltOf(answer) : undefined;
    const hashed = (what: "input" | "output", plain: Hex): Hex =>
      sealed?.receiptHash(what, plain) ?? (privateSalt === undefined ? plain : blindedHash(privateSalt, what, plain));
    const { models, zk, clockToleranceSeconds = 300, signers, tee, onReceipt } = this.#options;
    const request = JSON.parse(body.toString("utf8")) as { model: string; inputs?: unknown };
    const { model } = request;
    const asked = kind === "inference" ? modeAskedFor(request) : undefined;
    const modes = (this.#options.modes ?? Object.values(Mode)).filter((mode) => asked === undefined || mode === asked);
    const words = kind === "inference" && zk ? await zkAnswerHashes(zk, request, answer) : undefined;
    const modelId = await models?.modelIdOf(model);
    const usage = usageOf(answer);
    if (authorization.scheme !== "exact") requirePlausible(usage, body);
    const bounds = { leftWei: this.#payer.leftWei(payment), maxPaymentWei: this.#options.maxPaymentWei };
    const checked = await checkReceipt(
      answer.opengradient,
      {
        payment: key,
        fee: expectedFee(payment, usage, bounds),
        inputHash: hashed("input", words?.inputHash ?? hash),
        outputHash: hashed("output", words?.outputHash ?? outputHash),
        ...(modelId !== undefined && { modelId }),
        modes,
        servedFrom: BigInt(sentAt - clockToleranceSeconds),
        servedTo: BigInt(this.#now() + clockToleranceSeconds),
      },
      this.#hasher,
      signers,
    );
    if (checked.signed.receipt.mode === Mode.Zkml && zk !== undefined) {
      await requireProvable(zk, checked.signed.receipt.modelId);
    }
    if (tee !== undefined) {
      checkTeeAnswer(answer, checked.signed, tee, {
        requestHash: teeRequestHash(kind, body, hash),
        outputHash: teeHash,
      });
    }
    const { requestId, fee } = checked.signed.receipt;
    await this.#payer.checkStatement(payment, checkPaymentResponse(stated, authorization, fee), fee);
    await this.#payer.accept(payment, fee);
    const receiptSalt = sealed?.receiptSalt ?? privateSalt;
    const salt = receiptSalt !== undefined && { salt: receiptSalt };
    onReceipt?.({ ...checked, requestId, kind, payment: authorization, ...salt, verifiedAtMs: Date.now() });
  }

  #remember(fingerprint: string, error: VerificationError): void {
    if (this.#refusals.size >= MAX_REFUSALS) this.#refusals.clear();
    this.#refusals.set(fingerprint, error);
  }
}

/** Whether the request asks that nothing readable be published of it. */
function asksForPrivacy(headers: Headers): boolean {
  const name = SETTLEMENT_HEADERS.map((header) => headers.get(header)).find((value) => value !== null && value !== "");
  return name !== undefined && name !== null && settlementTypeOf(name) === "private";
}

/** What the receipt of a private settlement is blinded by: whoever is given it can be shown what was asked and answered. */
function saltOf({ opengradient }: Record<string, unknown>): Hex {
  const parsed = z.looseObject({ salt: bytes32Schema }).safeParse(opengradient);
  if (parsed.success) return parsed.data.salt;
  throw new VerificationError(
    "missing_receipt",
    "The answer's receipt is not blinded, as was asked for: it could be guessed",
  );
}
