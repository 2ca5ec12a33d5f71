import type { FastifyInstance } from "fastify";

import { bytes32Schema, type Hex } from "../../receipts/types.ts";
import { verifyingKeyToJson } from "../../zkml/proofJson.ts";
import { tensorsToJson } from "../../receipts/tensors.ts";
import { NodeError } from "../NodeError.ts";
import type { ServedProof } from "./ProofDesk.ts";

/** Where a node tells its gateway, and the gateway its clients, the proof of an answer. */
export const proofPath = (requestId: Hex): string => `/proofs/${requestId}`;
export const PROOF_ROUTE = "/proofs/:requestId";

/** As `proofAnswerSchema` reads it. */
export function servedProofToJson(requestId: Hex, served: ServedProof): object {
  if (served.status !== "proven") return { requestId, ...served };
  const { status, modelId, tensors, verifyingKey } = served;
  return {
    requestId,
    status,
    modelId,
    tensors: tensorsToJson(tensors),
    verifyingKey: verifyingKeyToJson(verifyingKey),
  };
}

/** `GET` of it: 404 where nothing is to be proven, 202 while the proof is to come. */
export function addProofRoute(
  server: FastifyInstance,
  find: (requestId: Hex) => Promise<ServedProof | undefined>,
): void {
  server.get<{ Params: { requestId: string } }>(PROOF_ROUTE, async ({ params }, reply) => {
    const { success, data: requestId } = bytes32Schema.safeParse(params.requestId);
    if (!success) throw new NodeError(400, "invalid_request_id", "expected a request id: 32 bytes in hexadecimal");
    const found = await find(requestId);
    if (found === undefined)
      throw new NodeError(404, "unknown_proof", `no answer to request ${requestId} is to be proven here`);
    return reply.code(found.status === "pending" ? 202 : 200).send(servedProofToJson(requestId, found));
  });
}
