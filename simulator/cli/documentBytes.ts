import { AttestationError } from "../enclave/AttestationError.ts";

/** A COSE_Sign1 begins with an array of four, or with tag 18 around it. */
const FIRST_BYTES = [0x84, 0xd2];

/**
 * An attestation document as it is found in files: its bytes, or base64 or hexadecimal of them with any white space.
 * @throws AttestationError malformed_cose when it is neither.
 */
export function documentBytes(input: Buffer): Buffer {
  if (FIRST_BYTES.includes(input[0]!)) return input;
  const text = input.toString("latin1").replace(/\s+/g, "");
  const digits = text.replace(/^0x/i, "");
  const candidates = [
    /^(?:[0-9a-f]{2})+$/i.test(digits) ? Buffer.from(digits, "hex") : undefined,
    /^[A-Za-z0-9+/_-]+={0,2}$/.test(text) ? Buffer.from(text, "base64") : undefined,
  ];
  const found = candidates.find((bytes) => bytes && FIRST_BYTES.includes(bytes[0]!));
  if (!found) {
    const beginning =
      input.length === 0 ? "nothing" : `${input.length} bytes that begin with ${input.toString("hex", 0, 8)}`;
    throw new AttestationError(
      "malformed_cose",
      `Expected COSE_Sign1 as bytes, base64 or hexadecimal, found ${beginning}`,
    );
  }
  return found;
}
