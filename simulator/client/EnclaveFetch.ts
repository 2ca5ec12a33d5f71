import { randomInt } from "node:crypto";
import type { SettleResponse } from "@x402/core/types";
import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import type { Channel } from "./ChannelStore.ts";
import { PaymentDeclinedError, VerificationError } from "./ClientError.ts";
import { EnclaveDirectory } from "./EnclaveDirectory.ts";
import { EnclaveError, NoEnclaveError } from "./EnclaveError.ts";
import type { EnclavePolicy, RegisteredEnclave } from "./EnclavePolicy.ts";
import { EnclaveSession, type AttestMode, type EnclaveAnswerOptions } from "./EnclaveSession.ts";
import { kindOf, readRequest } from "./OutgoingRequest.ts";
import { requireNothingToSeal } from "./SealedExchange.ts";

export interface EnclaveFetchOptions extends EnclaveAnswerOptions {
  /** Of the chain that the registry is on. */
  provider: Provider;
  /** NodeRegistry. */
  registry: Hex;
  policy?: EnclavePolicy;
  /** Default: fresh, unless the endpoint serves no documents. */
  attest?: AttestMode;
  /** The order in which enclaves are tried. Default: a random one. */
  prefer?: (enclaves: readonly RegisteredEnclave[]) => readonly RegisteredEnclave[];
  /** How long the registry's list is taken as known. Default 300,000. */
  refreshMs?: number;
  /** How long an enclave that could not be reached is not tried again. Default 10,000. */
  restMs?: number;
  /** Bound on connecting, the attestation included. Default 10,000. */
  connectTimeoutMs?: number;
}

/** Base URL that stands for whichever enclave is used. `.invalid` is never anybody's (RFC 6761): without our `fetch` nothing is sent. */
export const ENCLAVE_BASE_URL = "https://enclave.invalid/v1";

/** Statuses, before paying, for which another enclave may do. */
const elsewhere = (status: number): boolean => status === 404 || status >= 500;

/**
 * A `fetch` whose requests go to an enclave of the registry: found on chain, pinned to its attested certificate, attested anew for each
 * connection, and believed only what both its keys signed. Who is caught is never used again; who cannot be reached rests. Another
 * enclave is tried before a payment only: a request that was paid for stays where its payment went.
 * @example
 * const enclaves = new EnclaveFetch({ provider, registry, policy: { pcrHashes: [image] }, wallet, domain, asset, maxPaymentWei });
 * new OpenAI({ baseURL: enclaves.baseUrl, apiKey: "none", fetch: enclaves.fetch });
 */
export class EnclaveFetch {
  readonly baseUrl = ENCLAVE_BASE_URL;
  readonly directory: EnclaveDirectory;
  /** @throws NoEnclaveError, EnclaveError, VerificationError, PaymentDeclinedError; OpenAI's client wraps them: `error.cause`. */
  readonly fetch: typeof fetch;
  readonly #options: EnclaveFetchOptions;
  readonly #sessions = new Map<string, EnclaveSession>();
  readonly #caught = new Map<Hex, Error>();
  readonly #restingUntilMs = new Map<Hex, number>();
  #current: Hex | undefined;

  constructor(options: EnclaveFetchOptions) {
    this.#options = options;
    this.directory = new EnclaveDirectory(options);
    this.fetch = (input, init) => this.#fetch(new Request(input, init));
  }

  /** Enclaves whose attestation or answer was false, and how: they are not used again. */
  get caught(): ReadonlyMap<Hex, Error> {
    return this.#caught;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.close()));
  }

  /** Channels with enclaves that were used. */
  async channels(): Promise<Channel[]> {
    const channels = await Promise.all([...this.#sessions.values()].map((session) => session.channels()));
    return channels.flat();
  }

  /** Has every enclave that channels were opened with pay back what they hold unspent. */
  async refund(): Promise<SettleResponse[]> {
    const refunds = await Promise.all([...this.#sessions.values()].map((session) => session.refund()));
    return refunds.flat();
  }

  async #fetch(request: Request): Promise<Response> {
    const kind = kindOf(request);
    if (kind === undefined) {
      if (this.#options.sealed === true) requireNothingToSeal(request);
      const body = request.body === null ? null : await request.arrayBuffer();
      const { method, headers, signal } = request;
      return this.#try(signal, (session) =>
        session.send(new Request(addressedTo(session, request.url), { method, headers, body, signal })),
      );
    }
    const outgoing = await readRequest(kind, request);
    const answer = (session: EnclaveSession, onPaid: () => void): Promise<Response> =>
      session.answer({ ...outgoing, url: addressedTo(session, outgoing.url) }, onPaid);
    // whoever has our money for it is asked, whatever became of them
    const paid = [...this.#sessions.values()].find((session) => session.owes(outgoing));
    return paid !== undefined ? answer(paid, () => undefined) : this.#try(outgoing.signal, answer);
  }

  /** Has one enclave after the other do it, until one has, or was paid. */
  async #try(
    signal: AbortSignal,
    work: (session: EnclaveSession, onPaid: () => void) => Promise<Response>,
  ): Promise<Response> {
    const { enclaves, refused } = await this.directory.list();
    const failures = new Map<Hex, Error>([...refused, ...this.#caught]);
    let last: Response | undefined;
    for (const enclave of this.#order(enclaves)) {
      let paid = false;
      try {
        const response = await work(this.#session(enclave), () => (paid = true));
        if (paid || !elsewhere(response.status)) {
          this.#current = enclave.teeId;
          return response;
        }
        last = response;
      } catch (error) {
        if (signal.aborted || paid || !this.#isOurs(error)) throw error;
        if (error instanceof EnclaveError && error.code === "unreachable") this.#rest(enclave.teeId);
        else if (!(error instanceof PaymentDeclinedError)) this.#catch(enclave.teeId, error);
        failures.set(enclave.teeId, error);
      }
    }
    if (last !== undefined) return last;
    this.directory.suspect();
    const [reason, ...others] = failures.values();
    if (reason instanceof PaymentDeclinedError && others.every((other) => other instanceof PaymentDeclinedError)) {
      throw reason;
    }
    throw new NoEnclaveError(failures);
  }

  #isOurs(error: unknown): error is EnclaveError | VerificationError | PaymentDeclinedError {
    return error instanceof EnclaveError || error instanceof VerificationError || error instanceof PaymentDeclinedError;
  }

  /** The one that did well last, then the others as preferred. Those that rest come last. */
  #order(enclaves: readonly RegisteredEnclave[]): RegisteredEnclave[] {
    const usable = enclaves.filter(({ teeId }) => !this.#caught.has(teeId));
    const preferred = [...(this.#options.prefer ?? shuffled)(usable)];
    const rank = ({ teeId }: RegisteredEnclave): number => {
      if ((this.#restingUntilMs.get(teeId) ?? 0) > Date.now()) return 2;
      return teeId === this.#current && this.#options.prefer === undefined ? 0 : 1;
    };
    return preferred.sort((a, b) => rank(a) - rank(b));
  }

  #session(enclave: RegisteredEnclave): EnclaveSession {
    const { teeId, endpoint } = enclave;
    // keys never change, the endpoint and who is paid may
    const name = `${teeId} ${enclave.payout} ${endpoint}`;
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const { policy, onRefusal, ...options } = this.#options;
    const session = new EnclaveSession(enclave, {
      ...options,
      directory: this.directory,
      allowPlainLoopback: policy?.allowPlainLoopback ?? false,
      onRefusal: (error) => {
        this.#catch(teeId, error);
        onRefusal?.(error);
      },
    });
    this.#sessions.set(name, session);
    return session;
  }

  #catch(teeId: Hex, error: Error): void {
    this.#caught.set(teeId, error);
    this.#forget(teeId);
  }

  #rest(teeId: Hex): void {
    this.#restingUntilMs.set(teeId, Date.now() + (this.#options.restMs ?? 10_000));
    this.#forget(teeId);
  }

  #forget(teeId: Hex): void {
    if (this.#current === teeId) this.#current = undefined;
    this.directory.suspect();
  }
}

/** The same path at the enclave. */
function addressedTo({ enclave }: EnclaveSession, url: string): string {
  const { pathname, search } = new URL(url);
  return new URL(enclave.endpoint).origin + pathname + search;
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
