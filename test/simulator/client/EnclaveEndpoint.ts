import type { AddressInfo } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { enclaveRoutes } from "../../../simulator/enclave/enclaveRoutes.ts";
import type { TlsIdentity } from "../../../simulator/gateway/Gateway.ts";
import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { Signer } from "../../../simulator/receipts/secp256k1.ts";
import {
  Mode,
  signedReceiptSchema,
  signedReceiptToJson,
  type Hex,
  type Receipt,
  type SettlementDomain,
} from "../../../simulator/receipts/types.ts";
import type { LooseAnswer } from "./clientFixture.ts";

/** An answer, or a stream's last chunk, with the proof of an enclave. */
export interface TeeAnswer extends LooseAnswer {
  tee_signature?: string;
  tee_request_hash?: string;
  tee_output_hash?: string;
  tee_timestamp?: number;
  tee_id?: string;
}

export type Lie = (answer: TeeAnswer) => object | undefined | Promise<object | undefined>;

export interface EnclaveEndpointOptions {
  enclave: Enclave;
  domain: SettlementDomain;
  /** The gateway that answers. */
  upstream: string;
  /** Default: the enclave's. */
  tls?: TlsIdentity;
  /** Default: the enclave's routes. */
  routes?: (app: FastifyInstance, enclave: Enclave) => void;
}

/** What is behind an enclave's TLS key: an honest gateway, and whoever got into the enclave in front of it, with all its keys. */
export class EnclaveEndpoint {
  readonly #options: EnclaveEndpointOptions;
  readonly #app: FastifyInstance;
  readonly #hasher: SettlementHasher;
  #url: string | undefined;
  /** Changes each answer, chunk by chunk, before it goes out. */
  lie: Lie | undefined;
  /** Runs when a paid request has been answered upstream, before the answer goes out. */
  onPaid: (() => Promise<unknown>) | undefined;
  /** How many paid answers are lost on the way: the connection ends instead. */
  losses = 0;
  /** Requests that came in, attestations not counted. */
  requests = 0;
  paid = 0;

  constructor(options: EnclaveEndpointOptions) {
    const { enclave, domain, tls = enclave.tls, routes } = options;
    this.#options = options;
    this.#hasher = new SettlementHasher(domain);
    const app = Fastify({ https: tls, forceCloseConnections: true }) as unknown as FastifyInstance;
    if (routes !== undefined) routes(app, enclave);
    else app.register(enclaveRoutes(enclave));
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    app.all("/v1/*", async ({ method, url, headers, body, socket }, reply) => {
      this.requests++;
      const payment = headers["payment-signature"];
      if (payment !== undefined) this.paid++;
      const response = await fetch(options.upstream + url, {
        method,
        headers: {
          "content-type": headers["content-type"] ?? "application/json",
          ...(typeof payment === "string" && { "payment-signature": payment }),
        },
        ...(Buffer.isBuffer(body) && { body: new Uint8Array(body) }),
      });
      for (const [name, value] of response.headers) if (!HOP_HEADERS.has(name)) reply.header(name, value);
      const text = await response.text();
      const sold = response.ok && response.headers.get("payment-response") !== null;
      if (sold) await this.onPaid?.();
      if (sold && this.losses > 0) {
        this.losses--;
        reply.hijack();
        socket.destroy();
        return reply;
      }
      return reply.code(response.status).send(sold ? await this.#rewrite(text, response) : text);
    });
    this.#app = app;
  }

  get url(): string {
    if (this.#url === undefined) throw new Error("the endpoint is not started");
    return this.#url;
  }

  async start(): Promise<void> {
    await this.#app.listen({ host: "127.0.0.1", port: 0 });
    this.#url = `https://127.0.0.1:${(this.#app.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }

  /** Ends every connection, as a restart does. */
  disconnect(): void {
    this.#app.server.closeAllConnections();
  }

  /** The answer with another receipt, signed as the enclave could sign anything: with both keys, or with keys of others. */
  async proven(
    answer: TeeAnswer,
    changes: Partial<Receipt> = {},
    {
      signer = this.#options.enclave.signer,
      enclave = this.#options.enclave,
    }: { signer?: Signer; enclave?: Enclave } = {},
  ): Promise<TeeAnswer> {
    const proof = answer.opengradient;
    if (proof === undefined) return answer;
    const receipt = { ...signedReceiptSchema.parse(proof.receipt).receipt, mode: Mode.Tee, ...changes };
    const signature = signer.sign(this.#hasher.receiptDigest(receipt));
    const opengradient = { ...proof, receipt: signedReceiptToJson({ receipt, signature }), signer: signer.address };
    return { ...answer, opengradient, ...(await teeFields(enclave, receipt)) };
  }

  async #rewrite(text: string, response: Response): Promise<string> {
    const one = async (json: string): Promise<string> => {
      const honest = JSON.parse(json) as TeeAnswer;
      return JSON.stringify((await (this.lie ?? ((answer) => answer))(honest)) ?? undefined);
    };
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) return one(text);
    const events = text.split("\n\n").filter((event) => event !== "");
    const rewritten = await Promise.all(
      events.map(async (event) => (event === "data: [DONE]" ? event : `data: ${await one(event.slice(6))}`)),
    );
    return rewritten.map((event) => `${event}\n\n`).join("");
  }
}

/** OpenGradient's fields over what a receipt says. */
export async function teeFields(
  enclave: Enclave,
  { inputHash, outputHash, servedAt }: Pick<Receipt, "inputHash" | "outputHash" | "servedAt">,
): Promise<Omit<TeeAnswer, keyof LooseAnswer>> {
  const timestamp = servedAt.toString(16).padStart(64, "0");
  const message = keccak256(Buffer.from(inputHash.slice(2) + outputHash.slice(2) + timestamp, "hex"));
  const signature = await enclave.signTeeMessage(Buffer.from(message.slice(2), "hex"));
  return {
    tee_signature: signature.toString("base64"),
    tee_request_hash: bare(inputHash),
    tee_output_hash: bare(outputHash),
    tee_timestamp: Number(servedAt),
    tee_id: enclave.teeId,
  };
}

const bare = (hash: Hex): string => hash.slice(2);
const HOP_HEADERS = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "content-encoding",
  "date",
]);
