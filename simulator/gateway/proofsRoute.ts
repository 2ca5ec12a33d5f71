import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { request } from "undici";
import { proofPath, PROOF_ROUTE } from "../nodes/zk/servedProof.ts";
import { bytes32Schema, type Hex } from "../receipts/types.ts";
import { proofAnswerSchema } from "../zkml/proofJson.ts";
import { GatewayError } from "./GatewayError.ts";
import type { GatewayHttp } from "./http/GatewayHttp.ts";
import type { NodeDirectory, NodeEndpoint } from "./NodeDirectory.ts";

export const PROOFS_ROUTE = `/v1${PROOF_ROUTE}`;

const TIMEOUT_MS = 5_000;
const ASK_AGAIN_SECONDS = 1;

interface FoundProof {
  pending: boolean;
  /** As the node wrote it: its client checks the proof. */
  json: string;
}

export interface ProofsRouteOptions {
  http: GatewayHttp;
  directory: Pick<NodeDirectory, "nodes">;
  logger: Logger;
}

/** `GET /v1/proofs/<x-processing-hash>`: the proof of an answer in mode ZKML. 202 while it is to come. */
export function addProofsRoute(app: FastifyInstance, { http, directory, logger }: ProofsRouteOptions): void {
  app.get<{ Params: { requestId: string } }>(PROOFS_ROUTE, async (request, reply) => {
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
    const answers = await Promise.all(directory.nodes.map((node) => ask(node, requestId, logger)));
    const found = answers.find((answer) => typeof answer === "object");
    if (found !== undefined) {
      if (found.pending) reply.code(202).header("retry-after", ASK_AGAIN_SECONDS);
      return reply.type("application/json; charset=utf-8").header("cache-control", "no-store").send(found.json);
    }
    if (answers.includes("unreachable")) {
      throw new GatewayError(503, "upstream_error", "node_unreachable", "Not all nodes could be asked; try again", {
        retryAfterSeconds: 2,
      });
    }
    // guessing costs every node a look
    await http.refuse(request, "unknown_proof");
    throw new GatewayError(
      404,
      "invalid_request_error",
      "unknown_proof",
      `No answer to ${requestId} was given in mode ZKML`,
    );
  });
}

async function ask(
  node: NodeEndpoint,
  requestId: Hex,
  logger: Logger,
): Promise<FoundProof | "unknown" | "unreachable"> {
  try {
    const { statusCode, body } = await request(node.url + proofPath(requestId), {
      headers: { authorization: `Bearer ${node.token}` },
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    const text = await body.text();
    if (statusCode === 404) return "unknown";
    if (statusCode !== 200 && statusCode !== 202) throw new Error(`Expected 200 or 202, found ${statusCode}: ${text}`);
    proofAnswerSchema.parse(JSON.parse(text));
    return { pending: statusCode === 202, json: text };
  } catch (error) {
    logger.debug({ node: node.url, requestId, err: error }, "proof not known");
    return "unreachable";
  }
}
