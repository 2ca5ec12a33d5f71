import type { SettleResponse } from "@x402/core/types";
import { ROUTES } from "../gateway/requestSchemas.ts";
import { DEFAULT_KEY_ID } from "../ohttp/keyConfig.ts";
import { Mode } from "../receipts/types.ts";
import type { Channel } from "./ChannelStore.ts";
import { VerificationError } from "./ClientError.ts";
import { VerifyingFetch, type VerifyingFetchOptions } from "./createVerifyingFetch.ts";
import type { EnclaveDirectory } from "./EnclaveDirectory.ts";
import { EnclaveError } from "./EnclaveError.ts";
import type { RegisteredEnclave } from "./EnclavePolicy.ts";
import { checkFreshAttestation } from "./freshAttestation.ts";
import type { OutgoingRequest } from "./OutgoingRequest.ts";
import { PAYMENT_HEADER } from "./SignedPayment.ts";
import { createPinnedFetch, type PinnedFetch } from "./pinnedFetch.ts";
import type { SignerDirectory } from "./SignerDirectory.ts";

/** What an enclave session decides itself is left out. */
export type EnclaveAnswerOptions = Omit<
  VerifyingFetchOptions,
  "signers" | "modes" | "payTo" | "tee" | "sealing" | "fetch"
> & {
  /** Seals requests to the enclave's attested key. Default false. */
  sealed?: boolean;
};

/**
 * How an enclave shows that it is the registered one, besides its TLS key.
 * - registry: by the attestation that was checked on chain.
 * - fresh: by a new document for each connection, too.
 * - default: fresh, unless its endpoint serves no documents.
 */
export type AttestMode = "registry" | "fresh";

export interface EnclaveSessionOptions extends EnclaveAnswerOptions {
  directory: EnclaveDirectory;
  attest?: AttestMode;
  allowPlainLoopback?: boolean;
  /** Bound on connecting, the attestation included. Default 10,000. */
  connectTimeoutMs?: number;
}

/** One enclave, talked to over its attested TLS key only, whose answers have to be its own. */
export class EnclaveSession {
  readonly enclave: RegisteredEnclave;
  readonly #answers: VerifyingFetch;
  readonly #pinned: PinnedFetch;
  /** For attestations: connections that wait for nothing but the right certificate. */
  readonly #attesting: PinnedFetch;
  readonly #options: EnclaveSessionOptions;
  #attested: Promise<void> | undefined;

  constructor(enclave: RegisteredEnclave, options: EnclaveSessionOptions) {
    const { directory, attest, allowPlainLoopback = false, connectTimeoutMs = 10_000, sealed, ...answers } = options;
    const { endpoint, tlsCertificate: certificate, teeId, signingKey, sealingKey, payout } = enclave;
    this.enclave = enclave;
    this.#options = options;
    const pin = { endpoint, certificate, allowPlainLoopback, connectTimeoutMs };
    this.#attesting = createPinnedFetch(pin);
    this.#pinned = createPinnedFetch({
      ...pin,
      ...(attest !== "registry" && { onConnect: () => this.#attest() }),
    });
    this.#answers = new VerifyingFetch({
      ...answers,
      signers: enclaveSigner(enclave, directory),
      modes: [Mode.Tee],
      payTo: payout,
      tee: { teeId, signingKey },
      ...(sealed === true && {
        sealing: () => Promise.resolve({ keyId: DEFAULT_KEY_ID, publicKey: sealingKey, teeId }),
      }),
      fetch: (input, init) => this.send(new Request(input, init)),
    });
  }

  /** Sends a request as it is. Unless it pays, once more if its connection had just been closed, as happens to idle ones. */
  async send(request: Request): Promise<Response> {
    if (request.headers.has(PAYMENT_HEADER)) return this.#pinned.fetch(request);
    try {
      return await this.#pinned.fetch(request.clone());
    } catch (error) {
      if (!isClosedConnection(error)) throw error;
      return this.#pinned.fetch(request);
    }
  }

  /** Pays for a request, and verifies its answer. */
  answer(outgoing: OutgoingRequest, onPaid: () => void): Promise<Response> {
    return this.#answers.answer(outgoing, onPaid);
  }

  /** Whether a request was paid for here before, so that elsewhere it would be paid for again. */
  owes(outgoing: OutgoingRequest): boolean {
    return this.#answers.owes(outgoing);
  }

  /** Channels that pay it. */
  async channels(): Promise<Channel[]> {
    const { origin } = new URL(this.enclave.endpoint);
    return (await this.#answers.channels()).filter(({ gateway }) => gateway === origin);
  }

  /** Has the enclave pay back what channels with it hold unspent. */
  refund(): Promise<SettleResponse[]> {
    return this.#answers.refund(new URL(ROUTES.chat, this.enclave.endpoint).href);
  }

  async close(): Promise<void> {
    await Promise.all([this.#pinned.close(), this.#attesting.close()]);
  }

  /** One attestation for all connections that are being made at once. */
  #attest(): Promise<void> {
    const { attest, nowSeconds, clockToleranceSeconds, connectTimeoutMs } = this.#options;
    this.#attested ??= checkFreshAttestation(this.enclave, this.#attesting.fetch, {
      required: attest === "fresh",
      ...(nowSeconds && { nowSeconds }),
      ...(clockToleranceSeconds !== undefined && { clockToleranceSeconds }),
      ...(connectTimeoutMs !== undefined && { timeoutMs: connectTimeoutMs }),
    }).finally(() => (this.#attested = undefined));
    return this.#attested;
  }
}

/** What undici says is two causes down. */
function isClosedConnection(error: unknown): boolean {
  const reason = error instanceof EnclaveError && error.cause instanceof Error ? error.cause.cause : undefined;
  return reason instanceof Error && "code" in reason && CLOSED_CODES.has(String(reason.code));
}

const CLOSED_CODES = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

/** Only the enclave's own key signs, while the registry says that the enclave is live. */
export function enclaveSigner(
  { teeId, key, operator }: RegisteredEnclave,
  directory: Pick<EnclaveDirectory, "isLive">,
): SignerDirectory {
  return {
    operatorOf: async (signer, mode, at) => {
      if (signer !== key || mode !== Mode.Tee) return undefined;
      if (await directory.isLive(teeId, at)) return operator;
      throw new VerificationError(
        "enclave_not_live",
        `By the registry enclave ${teeId} was not live at ${at}, or is not now`,
      );
    },
  };
}
