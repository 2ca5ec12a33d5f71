import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import type { Wallet } from "ethers";
import { pino, type Logger } from "pino";
import { createVerifyingFetch, type VerifyingFetchOptions } from "../../../simulator/client/createVerifyingFetch.ts";
import type { VerifiedReceipt } from "../../../simulator/client/ReceiptBook.ts";
import type { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { generateSealingKey, type SealingKey } from "../../../simulator/ohttp/keyConfig.ts";
import { padJson } from "../../../simulator/ohttp/innerMessages.ts";
import { sealRequest, type SealedRequest } from "../../../simulator/ohttp/sealedRequest.ts";
import { OHTTP_REQUEST, OHTTP_RESPONSE } from "../../../simulator/ohttp/suite.ts";
import { addressOfKey } from "../../../simulator/receipts/secp256k1.ts";
import { stockX402Client } from "../facilitator/payments.ts";
import { FEE, GatewayFixture, MODEL } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../gateway/ScriptedNode.ts";
import { RecordingProxy } from "./RecordingProxy.ts";

export const SEALED = "/v1/ohttp";

/** A gateway and an enclave's node, with everything recorded that an operator could look at. */
export class SealedFixture {
  readonly world: GatewayFixture;
  readonly key: SealingKey;
  readonly node: ScriptedNode;
  readonly receipts: VerifiedReceipt[] = [];
  /** Between gateway and node. */
  readonly inside: RecordingProxy;
  /** Between clients and gateway. */
  readonly outside: RecordingProxy;
  gateway!: Gateway;
  readonly #logs: string[] = [];

  private constructor(world: GatewayFixture, key: SealingKey) {
    this.world = world;
    this.key = key;
    this.node = world.newNode({ sealing: key, storeFile: world.newFile(), logger: this.logger() });
    this.inside = new RecordingProxy(() => Number(new URL(this.node.url).port));
    this.outside = new RecordingProxy(() => Number(new URL(this.gateway.url).port));
  }

  static async start(): Promise<SealedFixture> {
    const world = await GatewayFixture.start();
    const fixture = new SealedFixture(world, await generateSealingKey());
    await Promise.all([fixture.node.start(), fixture.inside.start(), fixture.outside.start()]);
    fixture.gateway = await world.openGateway({
      nodes: [{ url: fixture.inside.url, token: NODE_TOKEN }],
      logger: fixture.logger(),
    });
    return fixture;
  }

  async stop(): Promise<void> {
    await this.world.stop();
    await Promise.all([this.node.stop(), this.inside.stop(), this.outside.stop()]);
    this.node.store.close();
  }

  /** Keeps every line, of every level. */
  logger(): Logger {
    return pino({ level: "trace" }, { write: (line: string) => void this.#logs.push(line) });
  }

  /** The files of gateway, node and facilitator. */
  files(): Buffer {
    const names = readdirSync(this.world.directory);
    return Buffer.concat(names.map((name) => readFileSync(join(this.world.directory, name))));
  }

  /** Everything an operator sees: those files, the logs, and what goes over the wires. */
  visible(): Buffer {
    return Buffer.concat([this.files(), Buffer.from(this.#logs.join("")), this.inside.seen, this.outside.seen]);
  }

  /** Options of a client that seals nothing. */
  openOptions(): VerifyingFetchOptions {
    const { chain, domain, payer, operator, nodeKey } = this.world;
    return {
      wallet: payer,
      domain,
      asset: chain.asset,
      maxPaymentWei: 10n * FEE,
      signers: {
        operatorOf: (signer, mode) =>
          Promise.resolve(signer === addressOfKey(nodeKey) && mode === 0 ? operator : undefined),
      },
      onReceipt: (receipt) => this.receipts.push(receipt),
      retryPauseMs: 5,
    };
  }

  options(changes: Partial<VerifyingFetchOptions> = {}): VerifyingFetchOptions {
    const { keyId, publicKey } = this.key;
    return { ...this.openOptions(), sealing: () => Promise.resolve({ keyId, publicKey }), ...changes };
  }

  fetch(changes: Partial<VerifyingFetchOptions> = {}): typeof fetch {
    return createVerifyingFetch(this.options(changes));
  }

  /** A request sealed by hand. */
  seal(body: object | string, key = this.key): Promise<SealedRequest> {
    return sealRequest(key, padJson(typeof body === "string" ? body : JSON.stringify(body)));
  }

  /** Signs what ciphertext costs. @returns the PAYMENT-SIGNATURE. */
  async pay(
    bytes: Uint8Array,
    headers: Record<string, string> = {},
    { url, payer = this.world.payer }: { url?: string; payer?: Wallet } = {},
  ): Promise<string> {
    const unpaid = await this.post(bytes, headers, url);
    const header = unpaid.headers.get("payment-required");
    if (unpaid.status !== 402 || header === null) {
      throw new Error(`Expected 402, found ${unpaid.status}: ${await unpaid.text()}`);
    }
    const client = stockX402Client(this.world.chain, payer);
    return encodePaymentSignatureHeader(await client.createPaymentPayload(decodePaymentRequiredHeader(header)));
  }

  /** Sends ciphertext as any client, or relay, may. */
  post(
    bytes: Uint8Array,
    { payment, ...headers }: Record<string, string> = {},
    url = this.outside.url,
  ): Promise<Response> {
    return fetch(url + SEALED, {
      method: "POST",
      headers: {
        "content-type": OHTTP_REQUEST,
        accept: OHTTP_RESPONSE,
        "x-og-model": MODEL,
        ...(payment !== undefined && { "payment-signature": payment }),
        ...headers,
      },
      body: new Uint8Array(bytes),
    });
  }
}
