/** OpenAI's error types: what a stock client knows how to read. */
export type OpenAiErrorType =
  "invalid_request_error" | "payment_required" | "rate_limit_error" | "server_error" | "upstream_error";

/** An error a client sees, as HTTP status and in OpenAI's shape. `code` is stable, the message is for people. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly status: number;
  readonly type: OpenAiErrorType;
  readonly code: string;
  /** Seconds after which trying again makes sense. */
  readonly retryAfterSeconds?: number;

  constructor(
    status: number,
    type: OpenAiErrorType,
    code: string,
    message: string,
    options: ErrorOptions & { retryAfterSeconds?: number } = {},
  ) {
    super(message, options);
    this.status = status;
    this.type = type;
    this.code = code;
    if (options.retryAfterSeconds !== undefined) this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** The body OpenAI's API would answer with. */
  toBody(): OpenAiErrorBody {
    return { error: { message: this.message, type: this.type, code: this.code, param: null } };
  }
}

export interface OpenAiErrorBody {
  error: { message: string; type: string; code: string | null; param: null };
}
