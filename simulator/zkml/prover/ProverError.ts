export type ProverErrorReason = "busy" | "closed" | "crashed" | "failed" | "out_of_memory" | "timeout";

/** A proof, key or commitment could not be made. The prover itself goes on, unless it is closed. */
export class ProverError extends Error {
  override readonly name = "ProverError";
  readonly code: `prover_${ProverErrorReason}`;

  constructor(reason: ProverErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = `prover_${reason}`;
  }
}
