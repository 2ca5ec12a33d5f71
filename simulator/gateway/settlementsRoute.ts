import type { FastifyInstance } from "fastify";
import { receiptPlaceToJson, SETTLEMENT_ROUTE } from "../nodes/settlementRoute.ts";
import { bytes32Schema } from "../receipts/types.ts";
import { GatewayError } from "./GatewayError.ts";
import type { GatewayHttp } from "./http/GatewayHttp.ts";
import type { SettlementLookup } from "./SettlementLookup.ts";

export const SETTLEMENTS_ROUTE = `/v1${SETTLEMENT_ROUTE}`;

/** `GET /v1/settlements/<x-processing-hash>`: how far the settlement of an answer has come. Nothing in it is secret once it is on chain. */
export function addSettlementsRoute(app: FastifyInstance, http: GatewayHttp, lookup: SettlementLookup): void {
  app.get<{ Params: { requestId: string } }>(SETTLEMENTS_ROUTE, async (request, reply) => {
    const { success, data: requestId } = bytes32Schema.safeParse(request.params.requestId.toLowerCase());
    if (!success) {
      throw new GatewayError(
        400,
        "invalid_request_error",
        "invalid_request_id",
        "Expected a request id, as x-processing-hash has it: 32 bytes in hexadecimal",
      );
    }
    await http.requireWelcome(request);
    const place = await lookup.find(requestId);
    if (place === "unreachable") {
      throw new GatewayError(503, "upstream_error", "node_unreachable", "Not all nodes could be asked; try again", {
        retryAfterSeconds: 2,
      });
    }
    if (place === "unknown") {
      // guessing costs every node a look
      await http.refuse(request, "unknown_request");
      throw new GatewayError(404, "invalid_request_error", "unknown_request", `No answer was given to ${requestId}`);
    }
    return reply.header("cache-control", "no-store").send({ requestId, ...receiptPlaceToJson(place) });
  });
}
