/** An ONNX file is damaged, or asks for something that cannot be proved here. The message names operator and node. */
export class OnnxImportError extends Error {
  override readonly name = "OnnxImportError";
  readonly code = "unsupported_onnx";
}
