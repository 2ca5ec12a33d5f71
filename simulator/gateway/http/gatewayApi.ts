import { SEALED_CONFIG_ROUTE, SEALED_ROUTE } from "../../nodes/SealedRoutes.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_KEYS, OHTTP_REQUEST, OHTTP_RESPONSE } from "../../ohttp/suite.ts";
import { METRICS_ROUTE } from "../../http/metricsRoute.ts";
import { OPENAPI_ROUTE, schemaRef, type ApiDescription, type Json } from "../../http/openApi.ts";
import { PROOFS_ROUTE } from "../proofsRoute.ts";
import { ROUTES } from "../requestSchemas.ts";
import { SETTLEMENTS_ROUTE } from "../settlementsRoute.ts";
import { MODEL_HEADER, TEE_HEADER } from "../sealedRequests.ts";
import { gatewaySchemas, type GatewaySchema } from "./gatewaySchemas.ts";

const ref = (name: GatewaySchema): Json => schemaRef(name);
const json = (name: GatewaySchema): Json => ({ "application/json": { schema: ref(name) } });
const binary = { schema: { type: "string", format: "binary" } };
const text = { schema: { type: "string" } };

const header = (description: string, pattern?: string): Json => ({
  description,
  schema: { type: "string", ...(pattern !== undefined && { pattern }) },
});
const HASH = "^0x[0-9a-f]{64}$";

const refusal = (description: string, headers: Json = {}): Json => ({ description, headers, content: json("Error") });
const RETRY_AFTER = { "retry-after": header("Seconds after which trying again makes sense") };

const PAYMENT_SIGNATURE = {
  name: "PAYMENT-SIGNATURE",
  in: "header",
  required: false,
  description:
    "An x402 v2 payment for one of the terms of the 402 answer: base64 of JSON, at most 8 KiB. Without it the answer is 402. The same " +
    "payment with the same request gets the same answer again; it buys no other.",
  schema: { type: "string", contentMediaType: "application/json" },
};

const PAID_HEADERS = {
  "PAYMENT-RESPONSE": header(
    "x402's settlement: base64 of JSON {success, transaction, network, payer, amount, extra}; without a transaction it is on its way",
  ),
  "x-processing-hash": header("The receipt's request id", HASH),
};

const PROOF_HEADERS = {
  ...PAID_HEADERS,
  "x-inference-receipt": header(
    "The signed receipt: base64 of JSON, the answer's `opengradient`. Streams carry it in their last event.",
  ),
  "x-settlement-tx-hash": header(
    "Transaction that posted the receipt's batch: of answers that are fetched again once it is on chain, or that were waited for " +
      "(`Prefer: wait=10`)",
    HASH,
  ),
  "x-settlement-walrus-blob-id": header("Walrus blob that holds the receipt's batch, with the same answers"),
};

const REFUSALS = {
  "400": refusal("The request is malformed, or asks for what is not served; nothing was charged"),
  "402": {
    description:
      "To be paid for. The body says what to do; `error.code` says what was wrong with a payment that was sent, in x402's words " +
      "(`payment_required` when there was none). Nothing was charged.",
    headers: {
      "PAYMENT-REQUIRED": header(
        "x402's PaymentRequired: base64 of JSON {x402Version, error, resource, accepts, extensions}",
      ),
    },
    content: json("PaymentRequired"),
  },
  "404": refusal("No such model; see /v1/models"),
  "408": refusal("The request took too long to arrive"),
  "413": refusal("The body is too large"),
  "415": refusal("The body's media type is not served"),
  "429": refusal(
    "Too many requests of this address or payer, or too much of the payer's is not settled yet",
    RETRY_AFTER,
  ),
  "431": refusal("The headers, or the PAYMENT-SIGNATURE, are too large"),
  "500": refusal("A fault of the gateway's; nothing was charged that has no answer"),
  "502": refusal("The node's answer could not be used; nothing was charged"),
  "503": refusal("Not possible now: a node, the facilitator or the chain is away", RETRY_AFTER),
  "504": refusal("The node did not answer in time; nothing was charged", RETRY_AFTER),
};

const paid = (
  operationId: string,
  summary: string,
  request: GatewaySchema,
  answer: GatewaySchema,
  streams: boolean,
): Json => ({
  operationId,
  summary,
  tags: ["Inference"],
  parameters: [PAYMENT_SIGNATURE],
  requestBody: { required: true, content: json(request) },
  responses: {
    "200": {
      description: "The answer and its proof",
      headers: PROOF_HEADERS,
      content: {
        ...json(answer),
        ...(streams && {
          "text/event-stream": { ...text, description: "With `stream`: OpenAI's chunks, the last with `opengradient`" },
        }),
      },
    },
    ...REFUSALS,
  },
});

const sealed: Json = {
  operationId: "createSealedAnswer",
  summary: "A request that only the enclave can read (Oblivious HTTP)",
  tags: ["Inference"],
  parameters: [
    PAYMENT_SIGNATURE,
    {
      name: MODEL_HEADER,
      in: "header",
      required: true,
      description: "The model: its price depends on it",
      schema: { type: "string" },
    },
    {
      name: TEE_HEADER,
      in: "header",
      required: false,
      description: "The enclave it is sealed for, where several have the same key id",
      schema: { type: "string", pattern: "^0x[0-9a-fA-F]{64}$" },
    },
  ],
  requestBody: { required: true, content: { [OHTTP_REQUEST]: binary } },
  responses: {
    "200": {
      description: "The sealed answer; in chunks when they are asked for",
      headers: PROOF_HEADERS,
      content: { [OHTTP_RESPONSE]: binary, [OHTTP_CHUNKED_RESPONSE]: binary },
    },
    ...REFUSALS,
  },
};

const get = (
  operationId: string,
  tag: string,
  summary: string,
  description: string,
  content: Json,
  more: Json = {},
): Json => ({
  operationId,
  summary,
  tags: [tag],
  ...more,
  responses: { "200": { description, content }, "429": REFUSALS["429"] },
});

const REQUEST_ID = {
  name: "requestId",
  in: "path",
  required: true,
  description: "The answer's x-processing-hash",
  schema: { type: "string", pattern: "^0x[0-9a-fA-F]{64}$" },
};

const answerProof: Json = {
  operationId: "getProof",
  summary: "The proof of an answer in mode zkML",
  tags: ["Inference"],
  parameters: [REQUEST_ID],
  responses: {
    "200": { description: "The proof, or why there will be none", content: json("AnswerProof") },
    "202": { description: "It is to come", headers: RETRY_AFTER, content: json("AnswerProof") },
    "400": refusal("That is no request id"),
    "404": refusal("No answer in mode zkML was given to such a request"),
    "429": REFUSALS["429"],
    "503": REFUSALS["503"],
  },
};

const settlement: Json = {
  operationId: "getSettlement",
  summary: "How far the settlement of an answer has come",
  tags: ["Inference"],
  parameters: [REQUEST_ID],
  responses: {
    "200": { description: "Where its receipt is", content: json("Settlement") },
    "400": refusal("That is no request id"),
    "404": refusal("No answer was given to such a request"),
    "429": REFUSALS["429"],
    "503": REFUSALS["503"],
  },
};

const nonce = {
  name: "nonce",
  in: "query",
  required: true,
  description: "Shows that the document is fresh: 20 or 32 bytes in hexadecimal",
  schema: { type: "string", pattern: "^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$" },
};

/** Of what is left in a channel: x402's batch-settlement client asks for it where it pays. */
const refund = (operationId: string): Json => ({
  operationId,
  summary: "Have what is left in a channel paid back",
  tags: ["Channels"],
  parameters: [PAYMENT_SIGNATURE],
  responses: {
    "200": {
      description: "Refunded",
      headers: PAID_HEADERS,
      content: { "application/json": { schema: { type: "object" } } },
    },
    ...REFUSALS,
  },
});

/** The gateway's HTTP API. */
export const gatewayApi: ApiDescription = {
  title: "OpenGradient gateway",
  description:
    "OpenAI's API in front of verifiable models, paid per request by x402 v2 instead of an API key. Send the request; answer the 402 by " +
    "signing one of its `accepts`; send it again. Every answer carries a signed receipt.",
  schemas: gatewaySchemas,
  operations: {
    [`post ${ROUTES.chat}`]: paid("createChatCompletion", "Chat", "ChatRequest", "ChatCompletion", true),
    [`post ${ROUTES.completion}`]: paid(
      "createCompletion",
      "Text completion",
      "CompletionRequest",
      "TextCompletion",
      true,
    ),
    [`post ${ROUTES.inference}`]: paid("createInference", "Run an ONNX model", "InferenceRequest", "Inference", false),
    [`get ${ROUTES.chat}`]: refund("refundChatChannel"),
    [`get ${ROUTES.completion}`]: refund("refundCompletionChannel"),
    [`get ${ROUTES.inference}`]: refund("refundInferenceChannel"),
    [`post ${SEALED_ROUTE}`]: sealed,
    [`get ${SEALED_CONFIG_ROUTE}`]: get(
      "getSealingKeys",
      "Enclaves",
      "Keys to seal requests with",
      "Key configurations of the enclaves that are up",
      {
        [OHTTP_KEYS]: binary,
      },
    ),
    [`get ${SETTLEMENTS_ROUTE.replace(":requestId", "{requestId}")}`]: settlement,
    [`get ${PROOFS_ROUTE.replace(":requestId", "{requestId}")}`]: answerProof,
    "get /v1/models": get(
      "listModels",
      "Models",
      "What can be bought now, and for how much",
      "Models of the nodes that are up",
      json("ModelList"),
    ),
    "get /health": get(
      "getHealth",
      "Operation",
      "State of the gateway and its nodes",
      "`degraded`: no node is up",
      json("Health"),
    ),
    [`get ${METRICS_ROUTE}`]: get("getMetrics", "Operation", "Prometheus metrics", "Text exposition format", {
      "text/plain": text,
    }),
    [`get ${OPENAPI_ROUTE}`]: get("getOpenApi", "Operation", "This document", "OpenAPI 3.1", {
      "application/json": { schema: { type: "object" } },
    }),
    "get /enclave/attestation": {
      operationId: "getAttestation",
      summary: "Attestation document of the enclave this gateway runs in",
      tags: ["Enclaves"],
      parameters: [nonce],
      responses: {
        "200": { description: "COSE_Sign1 as base64", content: { "text/plain": text } },
        "400": refusal("The nonce is malformed"),
      },
    },
    "get /signing-key": get(
      "getSigningKey",
      "Enclaves",
      "What registering the enclave needs",
      "Keys and measurements",
      {
        "application/json": { schema: { type: "object" } },
      },
    ),
  },
};
