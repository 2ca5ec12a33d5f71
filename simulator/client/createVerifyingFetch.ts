import { setTimeout as pause } from "node:timers/promises";
import { Wallet, type Signer } from "ethers";
import { SettlementHasher } from "../receipts/eip712.ts";
import { inputHash } from "../receipts/hashes.ts";
import { teeRequestHash } from "../receipts/teeReceipt.ts";
import { Mode, type Hex, type SettlementDomain } from "../receipts/types.ts";
import { PaymentDeclinedError, VerificationError } from "./ClientError.ts";
import { checkReceipt } from "./checkReceipt.ts";
import { checkTeeAnswer, teeOutputHashOf, type TeeKey } from "./checkTeeAnswer.ts";
import { kindOf, readRequest, toRequest, type OutgoingRequest } from "./OutgoingRequest.ts";
import { Payer, type SignedPayment } from "./Payer.ts";
import { outputHashOf } from "./readAnswer.ts";
import type { VerifiedReceipt } from "./ReceiptBook.ts";
import { requireNothingToSeal, SealedExchange, type SealingKeyLookup } from "./SealedExchange.ts";
import type { SignerDirectory } from "./SignerDirectory.ts";
import { streamVerifier } from "./StreamVerifier.ts";
import { UnansweredPayments, type UnansweredPayment } from "./UnansweredPayments.ts";

/** Which version of a model a name means, as the client knows it: from ModelRegistry, or pinned. */
export interface ModelDirectory {
  /** undefined: any version will do. */
  modelIdOf(model: string): Promise<Hex | undefined>;
}

export interface VerifyingFetchOptions {
  /** Pays; an ethers signer or a private key. Needs OPG, neither ETH nor a provider. */
  wallet: Signer | Hex;
  /** The ProofSettlement that receipts must be for, and its chain. */
  domain: SettlementDomain;
  /** OPG. */
  asset: Hex;
  /** Most that one request may cost, wei. */
  maxPaymentWei: bigint;
  signers: SignerDirectory;
  models?: ModelDirectory;
  /** Verification modes that will do. Default: all. */
  modes?: readonly Mode[];
  /** Who may be paid. Default: whoever the gateway names. */
  payTo?: Hex;
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
  /** A payment may stay chargeable for at most this long. Default 7,200. */
  maxPaymentValiditySeconds?: number;
  /** Unix seconds. Default: this machine's clock. */
  nowSeconds?: () => number;
}

interface Exchange {
  response: Response;
  payment?: UnansweredPayment;
}

const MAX_REFUSALS = 1_000;

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
    const { wallet, domain, asset, payTo, maxPaymentWei, maxPaymentValiditySeconds = 7_200 } = options;
    this.#options = options;
    this.#payer = new Payer({
      wallet: typeof wallet === "string" ? new Wallet(wallet) : wallet,
      chainId: domain.chainId,
      asset,
      ...(payTo !== undefined && { payTo }),
      maxPaymentWei,
      maxValiditySeconds: maxPaymentValiditySeconds,
    });
    this.#hasher = new SettlementHasher(domain);
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
      const bought = payment !== undefined && response.status !== 402 && payment.sealed?.stale !== true;
      if (bought) this.#unanswered.put(fingerprint, payment);
      return response;
    }
    if (payment === undefined)
      throw new VerificationError("unpaid_answer", "The answer came without a payment, so its receipt cannot be ours");
    return this.#verified(outgoing, hash, response, payment);
  }

  /** Sends until there is an answer, paying once. */
  async #exchange(outgoing: OutgoingRequest, onPaid?: () => void): Promise<Exchange> {
    const { retries = 3, retryPauseMs = 250, sealing } = this.#options;
    let payment = this.#unanswered.take(outgoing.fingerprint, this.#now());
    const sealed = payment?.sealed ?? (sealing && (await SealedExchange.seal(outgoing, sealing)));
    const wire = sealed === undefined ? outgoing : sealed.wire(outgoing);
    if (payment !== undefined) onPaid?.();
    const pay = (signed: SignedPayment): void => {
      payment = { ...signed, sentAt: this.#now(), ...(sealed && { sealed }) };
      onPaid?.();
    };
    for (let attempt = 0; ; attempt++) {
      try {
        const received = await (payment !== undefined
          ? this.#send(toRequest(wire, payment.header))
          : this.#payer.fetch(this.#send, toRequest(wire), pay));
        const response = sealed === undefined ? received : await sealed.open(received);
        // read here, so that an answer cut short is asked for again
        const whole = isStream(response) ? response : await readWhole(response);
        return { response: whole, ...(payment !== undefined && { payment }) };
      } catch (error) {
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
    const verify = (answer: Record<string, unknown>, outputHash: Hex, teeHash = outputHash): Promise<void> =>
      this.#verify(outgoing, hash, payment, answer, outputHash, teeHash);
    const { status, headers } = response;
    if (isStream(response) && response.body !== null) {
      const onUnanswered = (): void => this.#unanswered.put(fingerprint, payment);
      const onRefusal = (error: VerificationError): void => this.#options.onRefusal?.(error);
      const verifier = streamVerifier({ kind, verify, onUnanswered, onRefusal });
      const body = ReadableStream.from(noticingBreak(response.body, onUnanswered));
      return new Response(body.pipeThrough(verifier), { status, headers });
    }
    const text = await response.text();
    try {
      const answer = parseAnswer(text);
      const teeHash = this.#options.tee && teeOutputHashOf(kind, text);
      await verify(answer, outputHashOf(kind, answer), teeHash);
    } catch (error) {
      if (error instanceof VerificationError) {
        this.#remember(fingerprint, error);
        this.#options.onRefusal?.(error);
      } else {
        // it could not be checked, as when the chain is not reached: the payment is good for the answer again
        this.#unanswered.put(fingerprint, payment);
      }
      throw error;
    }
    return new Response(text, { status, headers });
  }

  /** @param answer the whole answer, or the chunk of a stream that carries its proof. */
  async #verify(
    { kind, body }: OutgoingRequest,
    hash: Hex,
    { authorization, sentAt, sealed }: UnansweredPayment,
    answer: Record<string, unknown>,
    outputHash: Hex,
    teeHash: Hex,
  ): Promise<void> {
    const stated = (what: "input" | "output", plain: Hex): Hex => sealed?.receiptHash(what, plain) ?? plain;
    const { models, modes = Object.values(Mode), clockToleranceSeconds = 300, signers, tee, onReceipt } = this.#options;
    const { model } = JSON.parse(body.toString("utf8")) as { model: string };
    const modelId = await models?.modelIdOf(model);
    const checked = await checkReceipt(
      answer.opengradient,
      {
        payment: authorization,
        feeWei: authorization.valueWei,
        inputHash: stated("input", hash),
        outputHash: stated("output", outputHash),
        ...(modelId !== undefined && { modelId }),
        modes,
        servedFrom: BigInt(sentAt - clockToleranceSeconds),
        servedTo: BigInt(this.#now() + clockToleranceSeconds),
      },
      this.#hasher,
      signers,
    );
    if (tee !== undefined) {
      const requestHash = teeRequestHash(kind, body, hash);
      checkTeeAnswer(answer, checked.signed, tee, { requestHash, outputHash: teeHash });
    }
    const { requestId } = checked.signed.receipt;
    const salt = sealed && { salt: sealed.receiptSalt };
    onReceipt?.({ ...checked, requestId, kind, payment: authorization, ...salt, verifiedAtMs: Date.now() });
  }

  #remember(fingerprint: string, error: VerificationError): void {
    if (this.#refusals.size >= MAX_REFUSALS) this.#refusals.clear();
    this.#refusals.set(fingerprint, error);
  }
}

/** A stream that breaks off brought no answer. */
async function* noticingBreak(body: ReadableStream<Uint8Array>, onBreak: () => void): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body;
  } catch (error) {
    onBreak();
    throw error;
  }
}

const isStream = ({ ok, headers }: Response): boolean =>
  ok && (headers.get("content-type") ?? "").startsWith("text/event-stream");

async function readWhole(response: Response): Promise<Response> {
  const bytes = await response.arrayBuffer();
  const headers = new Headers(response.headers);
  // fetch has undone the encoding these describe
  headers.delete("content-encoding");
  headers.delete("content-length");
  return new Response(bytes, { status: response.status, statusText: response.statusText, headers });
}

function parseAnswer(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // refused below
  }
  throw new VerificationError("unreadable_answer", "The answer is not a JSON object");
}
