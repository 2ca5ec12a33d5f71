import type { FastifyInstance } from "fastify";
import { z } from "zod";

import { bytes32Schema, type Hex } from "../receipts/types.ts";
import { blobIdFromBase64Url, blobIdToBase64Url } from "../storage/BlobStore.ts";
import { NodeError } from "./NodeError.ts";
import type { ReceiptPlace } from "./ReceiptPlaces.ts";

/** Where a node tells its gateway, and the gateway its clients, how far the settlement of a receipt has come. */
export const settlementPath = (requestId: Hex): string => `/settlements/${requestId}`;
export const SETTLEMENT_ROUTE = "/settlements/:requestId";

const blobId = z.string().transform((text, context): Hex => {
  try {
    return blobIdFromBase64Url(text);
  } catch {
    context.addIssue("Expected a Walrus blob id");
    return z.NEVER;
  }
});

/** The route's answer, read. */
export const receiptPlaceSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("waiting") }),
  z.object({ state: z.literal("batched"), batchId: bytes32Schema }),
  z
    .object({
      state: z.enum(["posted", "final", "rejected"]),
      batchId: bytes32Schema,
      walrusBlobId: blobId,
      transaction: bytes32Schema.nullable(),
    })
    .transform(({ walrusBlobId, transaction, ...place }) => ({
      ...place,
      blobId: walrusBlobId,
      transaction: transaction ?? undefined,
    })),
]) satisfies z.ZodType<ReceiptPlace>;

/** The route's answer. */
export function receiptPlaceToJson(place: ReceiptPlace): z.input<typeof receiptPlaceSchema> {
  if (!("blobId" in place)) return place;
  const { state, batchId, transaction = null } = place;
  return { state, batchId, walrusBlobId: blobIdToBase64Url(place.blobId), transaction };
}

/** `GET` of it: 404 for a request that the node has no answer to. */
export function addSettlementRoute(
  server: FastifyInstance,
  placeOf: (requestId: Hex) => ReceiptPlace | undefined,
): void {
  server.get<{ Params: { requestId: string } }>(SETTLEMENT_ROUTE, ({ params }) => {
    const { success, data: requestId } = bytes32Schema.safeParse(params.requestId);
    if (!success) throw new NodeError(400, "invalid_request_id", "expected a request id: 32 bytes in hexadecimal");
    const place = placeOf(requestId);
    if (place === undefined) throw new NodeError(404, "unknown_request", `no answer was given to request ${requestId}`);
    return receiptPlaceToJson(place);
  });
}
