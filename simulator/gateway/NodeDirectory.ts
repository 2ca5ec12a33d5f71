import type { Logger } from "pino";
import { request } from "undici";
import { z } from "zod";
import { tokenPriceSchema, type TokenPrice } from "../pricing/TokenPrice.ts";
import { parseKeyConfigs, type SealingPublicKey } from "../ohttp/keyConfig.ts";
import { addressSchema, bytes32Schema, uint96Schema, type Hex } from "../receipts/types.ts";

import type { OfferedModel } from "../nodes/InferenceNode.ts";
import { zkManifestSchema } from "../zkml/proofJson.ts";
import { defineShape } from "../zkml/shape.ts";

/** How the gateway reaches one of its operator's nodes. */
export interface NodeEndpoint {
  /** Base URL, without a slash at the end. */
  url: string;
  /** Shared secret of the operator's gateway and nodes. */
  token: string;
}

/** One model on one node: what it costs and whom it pays. */
export interface Offer {
  node: NodeEndpoint;
  /** Name in requests, e.g. "opengradient/liquidation-risk-v1". */
  model: string;
  /** The version in ModelRegistry. */
  modelId: Hex;
  kind: "chat" | "onnx";
  modes: number[];
  /** Fee of one request that is not charged by use, wei. */
  feeWei: bigint;
  /** Of a model that is sold by the token. */
  tokenPrice?: TokenPrice;
  /** Most tokens of one answer. */
  maxOutputTokens?: number;
  /** Receives the payment. */
  payTo: Hex;
  /** Signs for the node on chain. */
  operator: Hex;
  /** For a node that opens sealed requests. */
  sealing?: NodeSealing;
  /** Of a zk model, whose receipts are about words. */
  zk?: OfferedModel;
}

/** What requests are sealed with for a node. */
export interface NodeSealing {
  keys: SealingPublicKey[];
  /** The same as `application/ohttp-keys`. */
  keyConfigs: Buffer;
  /** The enclave it runs in. */
  teeId?: Hex | undefined;
}

const offeredModelSchema = z
  .object({ shape: z.array(z.int()), manifest: zkManifestSchema, inputScales: z.array(z.int()) })
  .transform(({ shape: dims, manifest, inputScales }): OfferedModel => {
    const { inputs, outputs, outputScale } = manifest;
    return { shape: defineShape(dims.join("-"), dims), manifest, inputScales, inputs, outputs, outputScale };
  });

const modelsSchema = z.object({
  models: z.array(
    z.looseObject({
      id: z.string().min(1),
      modelId: bytes32Schema,
      kind: z.enum(["chat", "onnx"]),
      modes: z.array(z.int().min(0).max(2)),
      feeWei: uint96Schema,
      tokenPrice: tokenPriceSchema.optional(),
      maxOutputTokens: z.int().min(1).optional(),
      payout: addressSchema,
      operator: addressSchema,
      zk: offeredModelSchema.optional(),
    }),
  ),
  sealing: z
    .object({ keyConfigs: z.base64(), teeId: bytes32Schema.optional() })
    .transform(({ keyConfigs, teeId }): NodeSealing => {
      const bytes = Buffer.from(keyConfigs, "base64");
      return { keys: parseKeyConfigs(bytes), keyConfigs: bytes, teeId };
    })
    .optional(),
});

export interface NodeDirectoryOptions {
  nodes: NodeEndpoint[];
  logger: Logger;
  /** Default 5,000. */
  pollMs?: number;
  /** Default 2,000. */
  timeoutMs?: number;
}

interface Known {
  offers: Offer[];
  up: boolean;
}

/** What the nodes behind the gateway offer, asked again and again. A node that stops answering keeps its offers, as down. */
export class NodeDirectory {
  /** Every node that is configured. */
  readonly nodes: readonly NodeEndpoint[];
  readonly #logger: Logger;
  readonly #pollMs: number;
  readonly #timeoutMs: number;
  readonly #known = new Map<string, Known>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #turn = 0;

  constructor({ nodes, logger, pollMs = 5_000, timeoutMs = 2_000 }: NodeDirectoryOptions) {
    this.nodes = nodes;
    this.#logger = logger;
    this.#pollMs = pollMs;
    this.#timeoutMs = timeoutMs;
  }

  /** Asks every node once, then keeps asking. */
  async start(): Promise<void> {
    await this.refresh();
    const again = (): void => {
      if (this.#stopped) return;
      this.#timer = setTimeout(() => void this.refresh().then(again), this.#pollMs);
      this.#timer.unref();
    };
    again();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async refresh(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.#ask(node)));
  }

  /**
   * All offers for a model, by its id or, where no other ends the same, by what follows the provider in it: those of nodes that are
   * up first, then cheapest first; equals take turns.
   */
  offersFor(model: string): Offer[] {
    const all = [...this.#known.values()].flatMap(({ offers, up }) => offers.map((offer) => ({ offer, up })));
    const exact = all.filter(({ offer }) => offer.model === model);
    const bare = all.filter(({ offer }) => offer.model.slice(offer.model.indexOf("/") + 1) === model);
    const found = exact.length > 0 || new Set(bare.map(({ offer }) => offer.model)).size > 1 ? exact : bare;
    const turn = this.#turn++;
    return found
      .map((_, i) => found[(i + turn) % found.length]!)
      .sort((a, b) => Number(b.up) - Number(a.up) || compare(a.offer.feeWei, b.offer.feeWei))
      .map(({ offer }) => offer);
  }

  isUp(node: NodeEndpoint): boolean {
    return this.#known.get(node.url)?.up ?? false;
  }

  /** A request to the node failed to connect: no new ones go there before it answers a poll. */
  markDown(url: string): void {
    const known = this.#known.get(url);
    if (known !== undefined) known.up = false;
  }

  /** Every offer that can be had now. */
  available(): Offer[] {
    return [...this.#known.values()].filter(({ up }) => up).flatMap(({ offers }) => offers);
  }

  /** `application/ohttp-keys` of the nodes that are up. */
  keyConfigs(): Buffer {
    const distinct = new Map(
      this.available().flatMap(({ node, sealing }) => (sealing ? [[node.url, sealing.keyConfigs]] : [])),
    );
    return Buffer.concat([...distinct.values()]);
  }

  /** The configured node at `url`, to finish what an earlier run began there. */
  nodeAt(url: string): NodeEndpoint | undefined {
    return this.nodes.find((node) => node.url === url);
  }

  health(): { url: string; up: boolean }[] {
    return this.nodes.map((node) => ({ url: node.url, up: this.isUp(node) }));
  }

  async #ask(node: NodeEndpoint): Promise<void> {
    try {
      const { statusCode, body } = await request(`${node.url}/models`, {
        headers: { authorization: `Bearer ${node.token}` },
        headersTimeout: this.#timeoutMs,
        bodyTimeout: this.#timeoutMs,
      });
      const answer = await body.json();
      if (statusCode !== 200) throw new Error(`Expected 200, found ${statusCode}`);
      const { models, sealing } = modelsSchema.parse(answer);
      const offers = models.map(
        ({ id, modelId, kind, modes, feeWei, tokenPrice, maxOutputTokens, payout, operator, zk }) => ({
          node,
          model: id,
          modelId,
          kind,
          modes,
          feeWei,
          payTo: payout,
          operator,
          ...(tokenPrice && { tokenPrice }),
          ...(maxOutputTokens !== undefined && { maxOutputTokens }),
          ...(sealing && { sealing }),
          ...(zk && { zk }),
        }),
      );
      this.#known.set(node.url, { offers, up: true });
    } catch (error) {
      if (this.isUp(node) || !this.#known.has(node.url)) {
        this.#logger.warn({ node: node.url, err: error }, "node does not answer");
      }
      this.#known.set(node.url, { offers: this.#known.get(node.url)?.offers ?? [], up: false });
    }
  }
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);
