/** A model cannot be brought into a circuit: it fits no shape, or its numbers fit no scale. */
export class QuantisationError extends Error {
  override readonly name = "QuantisationError";
  readonly code = "model_not_quantisable";
}
