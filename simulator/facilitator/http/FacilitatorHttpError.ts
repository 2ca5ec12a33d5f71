/** An error of the facilitator's HTTP API: `{error: code, message}`. */
export class FacilitatorHttpError extends Error {
  override readonly name = "FacilitatorHttpError";
  readonly status: number;
  /** Stable. */
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
    this.status = status;
    this.code = code;
    if (options.retryAfterSeconds !== undefined) this.retryAfterSeconds = options.retryAfterSeconds;
  }

  toBody(): { error: string; message: string } {
    return { error: this.code, message: this.message };
  }
}
