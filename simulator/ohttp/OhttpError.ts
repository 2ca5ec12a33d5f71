/** Why something sealed, or a key for sealing, cannot be read. */
export type OhttpCode =
  | "malformed_config"
  | "malformed_request"
  | "unsupported_suite"
  | "unknown_key"
  | "malformed_response"
  | "truncated_response"
  | "cannot_open";

/** An error of sealing or opening. The message says nothing about what was sealed. */
export class OhttpError extends Error {
  override readonly name = "OhttpError";
  readonly code: OhttpCode;

  constructor(code: OhttpCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
