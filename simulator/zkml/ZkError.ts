/** A value, vector or word is outside what the circuit takes. */
export class ZkRangeError extends Error {
  override readonly name = "ZkRangeError";
  readonly code = "zk_value_out_of_range";
}

/** Bytes are not the file they should be: a model blob, a key, a witness. */
export class ZkFormatError extends Error {
  override readonly name = "ZkFormatError";
  readonly code = "invalid_zk_file";
}
