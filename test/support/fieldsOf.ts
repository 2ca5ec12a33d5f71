import type { Result } from "ethers";

/** The fields of a struct by name. Typechain types what ethers decodes as a tuple and leaves this out. */
export function fieldsOf(struct: object): Record<string, unknown> {
  return (struct as Result).toObject();
}
