import { METRICS_ROUTE } from "../../http/metricsRoute.ts";
import { OPENAPI_ROUTE, schemaRef, type ApiDescription, type Json } from "../../http/openApi.ts";
import { PAYMENT_KEY, SETTLEMENT_DATA } from "./dataRoutes.ts";
import { facilitatorSchemas, type FacilitatorSchema } from "./facilitatorSchemas.ts";

const json = (name: FacilitatorSchema): Json => ({ "application/json": { schema: schemaRef(name) } });
const refusal = (description: string): Json => ({ description, content: json("Error") });
const OPERATOR = [{ operator: [] }];

const REFUSALS = {
  "400": refusal("Malformed"),
  "401": refusal("The token is no operator's"),
  "429": {
    ...refusal("Too many requests"),
    headers: { "retry-after": { description: "Seconds", schema: { type: "string" } } },
  },
  "503": refusal("The chain or the store is away; try again"),
};

const text = { "text/plain": { schema: { type: "string" } } };
const anyJson = { "application/json": { schema: { type: "object" } } };

const open = (operationId: string, summary: string, content: Json): Json => ({
  operationId,
  summary,
  tags: ["Operation"],
  responses: { "200": { description: summary, content } },
});

const post = (
  operationId: string,
  tag: string,
  summary: string,
  request: FacilitatorSchema,
  responses: Json,
): Json => ({
  operationId,
  summary,
  tags: [tag],
  security: OPERATOR,
  requestBody: { required: true, content: json(request) },
  responses: { ...responses, ...REFUSALS },
});

const header = (name: string, description: string): Json => ({
  name,
  in: "header",
  required: false,
  description,
  schema: { type: "string" },
});

/** The facilitator's HTTP API. */
export const facilitatorApi: ApiDescription = {
  title: "OpenGradient facilitator",
  description: "x402 v2 facilitator with OpenGradient's own endpoints for what an operator reports of its answers.",
  schemas: facilitatorSchemas,
  securitySchemes: { operator: { type: "http", scheme: "bearer", description: "When the facilitator has operators" } },
  operations: {
    "get /supported": open("getSupported", "Schemes, networks and signers", json("Supported")),
    "get /health": open("getHealth", "State, and payments by status", json("Health")),
    [`get ${METRICS_ROUTE}`]: open("getMetrics", "Prometheus metrics", text),
    [`get ${OPENAPI_ROUTE}`]: open("getOpenApi", "This document", anyJson),
    "post /verify": post(
      "verify",
      "x402",
      "Whether a payment could be settled now; nothing is kept",
      "PaymentRequest",
      {
        "200": { description: "Valid, or why not", content: json("VerifyResponse") },
      },
    ),
    "post /settle": {
      ...post("settle", "x402", "Settles a payment once, however often it is asked", "PaymentRequest", {
        "200": { description: "Settled, or why not", content: json("SettleResponse") },
        "202": {
          description: "With `prefer: respond-async`: it is owed and will be charged",
          content: json("PaymentJobAnswer"),
        },
      }),
      parameters: [header("prefer", "`respond-async` answers 202 with a job instead of waiting for the chain")],
    },
    "get /settle/{jobId}": {
      operationId: "getJob",
      summary: "What became of a payment or a reported answer",
      tags: ["OpenGradient"],
      security: OPERATOR,
      parameters: [{ name: "jobId", in: "path", required: true, schema: { type: "string" } }],
      responses: {
        "200": { description: "The job", content: json("Job") },
        "401": REFUSALS["401"],
        "404": refusal("There is no such job of this operator's"),
      },
    },
    "post /settle_data": {
      ...post("settleData", "OpenGradient", "Reports a paid answer of an enclave, once per payment", "SettlementData", {
        "202": { description: "Recorded; published as its type asks for", content: json("SettlementJobAnswer") },
        "402": refusal("Names no payment that this facilitator settled or will settle"),
        "403": refusal("No live enclave signed the statement, or the payment is another operator's"),
        "409": refusal("The payment was reported with another statement, or the statement for another payment"),
      }),
      requestBody: {
        required: false,
        description: `Where it is too long for ${SETTLEMENT_DATA}`,
        content: json("SettlementData"),
      },
      parameters: [
        header(
          "x-settlement-type",
          "private: recorded only. batch (default): in a blob with others. individual: in a blob with input and output. Older names are known too.",
        ),
        header(SETTLEMENT_DATA, "SettlementData as base64 of JSON"),
        header("PAYMENT-SIGNATURE", "The payment of the answer, as its client sent it"),
        header(PAYMENT_KEY, "Or the payment's key: network/token/payer/nonce"),
      ],
    },
    "post /heartbeat": post(
      "heartbeat",
      "OpenGradient",
      "Brings an enclave's heartbeat to the registry",
      "HeartbeatRequest",
      {
        "200": { description: "Mined", content: json("HeartbeatAnswer") },
        "403": refusal("The enclave did not sign it"),
        "404": refusal("The registry has no such enclave"),
        "409": refusal("The enclave is not live, or another heartbeat is under way"),
      },
    ),
    "get /usage": {
      operationId: "getUsage",
      summary: "An operator's payments and reports by day",
      tags: ["OpenGradient"],
      security: OPERATOR,
      parameters: [
        {
          name: "days",
          in: "query",
          required: false,
          description: "1 to 366, today included; default 30",
          schema: { type: "integer" },
        },
      ],
      responses: {
        "200": { description: "Days with anything in them", content: json("Usage") },
        "400": REFUSALS["400"],
        "401": REFUSALS["401"],
      },
    },
  },
};
