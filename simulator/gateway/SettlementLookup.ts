import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { request } from "undici";
import type { ReceiptPlace } from "../nodes/ReceiptPlaces.ts";
import { receiptPlaceSchema, settlementPath } from "../nodes/settlementRoute.ts";
import type { Hex } from "../receipts/types.ts";
import { blobIdToBase64Url } from "../storage/BlobStore.ts";
import type { NodeDirectory, NodeEndpoint } from "./NodeDirectory.ts";

export interface SettlementLookupOptions {
  directory: Pick<NodeDirectory, "nodeAt" | "isUp" | "health">;
  logger: Logger;
  /** For one question to a node. Default 1,000. */
  timeoutMs?: number;
}

/** Places that cannot change any more, kept so that no node is asked again. */
const KEPT = 4_096;
const LOOK_AGAIN_MS = 100;

/** Where receipts are settled, as the operator's nodes know it. */
export class SettlementLookup {
  readonly #options: Required<SettlementLookupOptions>;
  readonly #final = new Map<Hex, ReceiptPlace>();

  constructor(options: SettlementLookupOptions) {
    this.#options = { timeoutMs: 1_000, ...options };
  }

  /** A receipt of one node. @returns undefined when it cannot be known now. */
  async at(nodeUrl: string, requestId: Hex): Promise<ReceiptPlace | undefined> {
    const known = this.#final.get(requestId);
    if (known !== undefined) return known;
    const node = this.#options.directory.nodeAt(nodeUrl);
    // who waits for an answer does not wait for a node that is away
    if (node === undefined || !this.#options.directory.isUp(node)) return undefined;
    const answer = await this.#ask(node, requestId);
    return answer === "unknown" || answer === "unreachable" ? undefined : answer;
  }

  /** The same once it is on chain, or as it is after `patienceMs`. */
  async postedAt(nodeUrl: string, requestId: Hex, patienceMs: number): Promise<ReceiptPlace | undefined> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const place = await this.at(nodeUrl, requestId);
      if ((place !== undefined && "blobId" in place) || performance.now() + LOOK_AGAIN_MS > deadlineMs) return place;
      await pause(LOOK_AGAIN_MS);
    }
  }

  /** A receipt of any node. "unknown": all nodes say that they gave no such answer; "unreachable": not all could be asked. */
  async find(requestId: Hex): Promise<ReceiptPlace | "unknown" | "unreachable"> {
    const known = this.#final.get(requestId);
    if (known !== undefined) return known;
    const { directory } = this.#options;
    const nodes = directory.health().flatMap(({ url }) => directory.nodeAt(url) ?? []);
    const answers = await Promise.all(nodes.map((node) => this.#ask(node, requestId)));
    const place = answers.find((answer) => typeof answer === "object");
    return place ?? (answers.includes("unreachable") ? "unreachable" : "unknown");
  }

  async #ask(node: NodeEndpoint, requestId: Hex): Promise<ReceiptPlace | "unknown" | "unreachable"> {
    const { timeoutMs, logger } = this.#options;
    try {
      const { statusCode, body } = await request(node.url + settlementPath(requestId), {
        headers: { authorization: `Bearer ${node.token}` },
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      if (statusCode === 404) {
        await body.dump();
        return "unknown";
      }
      if (statusCode !== 200) throw new Error(`Expected 200, found ${statusCode}: ${await body.text()}`);
      const place = receiptPlaceSchema.parse(await body.json());
      if (place.state === "final") this.#keep(requestId, place);
      return place;
    } catch (error) {
      logger.debug({ node: node.url, requestId, err: error }, "settlement not known");
      return "unreachable";
    }
  }

  #keep(requestId: Hex, place: ReceiptPlace): void {
    this.#final.set(requestId, place);
    const [oldest] = this.#final.keys();
    if (this.#final.size > KEPT && oldest !== undefined) this.#final.delete(oldest);
  }
}

/** What an answer's headers say of its settlement: nothing that is not on chain, and nothing of a batch that was proven wrong. */
export function settlementHeaders(place: ReceiptPlace | undefined): Record<string, string> {
  if (place === undefined || !("blobId" in place) || place.state === "rejected") return {};
  return {
    "x-settlement-walrus-blob-id": blobIdToBase64Url(place.blobId),
    ...(place.transaction !== undefined && { "x-settlement-tx-hash": place.transaction }),
  };
}

const MAX_WAIT_SECONDS = 60;

/** How long a client is willing to wait for its receipt to be on chain: `Prefer: wait=10` (RFC 7240), a minute at most. */
export function settlementPatienceMs(prefer: string | string[] | undefined): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,9})(?:$|[,;\s])/i.exec([prefer].flat().join(","))?.[1];
  return Math.min(Number(seconds ?? 0), MAX_WAIT_SECONDS) * 1_000;
}
