/** A request that a model cannot take: the caller can mend it. */
export class ModelInputError extends Error {
  override readonly name = "ModelInputError";
  readonly code = "invalid_model_input";
}

/** A model answered something that cannot be passed on. */
export class ModelOutputError extends Error {
  override readonly name = "ModelOutputError";
  readonly code = "invalid_model_output";
}

/** A model file that cannot be served. */
export class ModelLoadError extends Error {
  override readonly name = "ModelLoadError";
  readonly code = "model_not_loadable";
}
