import { ModelInputError, ModelOutputError } from "../models/ModelError.ts";
import { InvalidJsonError } from "../receipts/json.ts";
import { InvalidRequestError } from "../receipts/requestText.ts";

/** OpenAI's coarse kinds of errors, as their clients know them. */
export type ErrorType = "invalid_request_error" | "authentication_error" | "rate_limit_error" | "server_error";

/** An error that a node answers over HTTP in OpenAI's shape. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  /** HTTP status. */
  readonly status: number;
  readonly type: ErrorType;
  /** Stable, for programs. */
  readonly code: string;
  /** Seconds after which trying again makes sense. */
  readonly retryAfterSeconds?: number;

  constructor(
    status: number,
    code: string,
    message: string,
    options: ErrorOptions & { retryAfterSeconds?: number } = {},
  ) {
    super(message, options);
    if (options.retryAfterSeconds !== undefined) this.retryAfterSeconds = options.retryAfterSeconds;
    this.status = status;
    this.code = code;
    this.type = typeOf(status);
  }
}

/** The body of an error answer. */
export function errorBody({ message, type, code }: NodeError): {
  error: { message: string; type: ErrorType; code: string };
} {
  return { error: { message, type, code } };
}

function typeOf(status: number): ErrorType {
  if (status === 401 || status === 403) return "authentication_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** Any error as one to answer with. What was not foreseen says nothing about the inside of the node. */
export function toNodeError(error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  if (error instanceof ModelInputError || error instanceof InvalidRequestError || error instanceof InvalidJsonError) {
    return new NodeError(400, error.code, error.message, { cause: error });
  }
  if (error instanceof ModelOutputError) return new NodeError(422, error.code, error.message, { cause: error });
  return new NodeError(500, "internal_error", "the node failed; nothing was charged", { cause: error });
}

/** The node answers, but not in the mode that is asked for. */
export const modeNotServed = (mode: string): NodeError =>
  new NodeError(400, "mode_not_served", `mode ${mode} is not served here for this model; see its \`modes\``);
