import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { z } from "zod";

import { batchHeaderSchema, bytes32Schema, type BatchHeader } from "../receipts/types.ts";
import type { CommitmentVoteRequest } from "./CommitmentDesk.ts";
import { VoteRefusedError, type Vote } from "./VoteDesk.ts";

export interface VerifierServerOptions {
  /** @throws VoteRefusedError */
  vote: (header: BatchHeader) => Promise<Vote>;
  /** @throws VoteRefusedError */
  voteOnCommitment: (request: CommitmentVoteRequest) => Promise<Vote>;
  health: () => object;
  logger: Logger;
}

const voteRequestSchema = z.strictObject({ header: batchHeaderSchema });
const commitmentRequestSchema = z.strictObject({ modelId: bytes32Schema, setId: z.int().min(0).max(0xffff_ffff) });

/** A header takes some 600 bytes. */
const BODY_LIMIT_BYTES = 16 * 1024;

/**
 * The HTTP API of a verifier, not yet listening: POST /votes {header} and POST /zk/votes {modelId, setId} → {seat, signature}, or 422
 * {code, message}; GET /health.
 */
export function createVerifierServer(options: VerifierServerOptions): FastifyInstance {
  const { vote, voteOnCommitment, health, logger } = options;
  const server = Fastify({ bodyLimit: BODY_LIMIT_BYTES, forceCloseConnections: true });
  server.setErrorHandler((error, request, reply) => {
    if (error instanceof VoteRefusedError) {
      return reply.code(error.code === "busy" ? 503 : 422).send({ code: error.code, message: error.message });
    }
    if (error instanceof z.ZodError) {
      return reply.code(400).send({ code: "invalid_request", message: z.prettifyError(error) });
    }
    const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    if (status < 500) {
      return reply.code(status).send({ code: "invalid_request", message: (error as Error).message });
    }
    logger.error({ err: error, path: request.url }, "request failed");
    return reply.code(500).send({ code: "internal_error", message: "The verifier failed; ask again later" });
  });
  server.get("/health", () => health());
  server.post("/votes", ({ body }) => vote(voteRequestSchema.parse(body).header));
  server.post("/zk/votes", ({ body }) => voteOnCommitment(commitmentRequestSchema.parse(body)));
  return server;
}
