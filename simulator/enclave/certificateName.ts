import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

/** What NitroAttestationVerifier knows a certificate by: keccak256 of its TBSCertificate, the part that is signed. */
export function certificateName(der: Uint8Array): Hex {
  const { content } = element(der, 0);
  return keccak256(Buffer.from(der.subarray(content, element(der, content).end)));
}

/** Where the content of a DER element begins and ends. Lengths of up to two bytes are all that certificates of this size have. */
function element(der: Uint8Array, at: number): { content: number; end: number } {
  const first = der[at + 1] ?? 0;
  const more = first < 0x80 ? 0 : first - 0x80;
  if (more > 2 || at + 2 + more > der.length) throw new RangeError("Expected the DER of a certificate");
  const length = more === 0 ? first : Buffer.from(der.subarray(at + 2, at + 2 + more)).readUIntBE(0, more);
  return { content: at + 2 + more, end: at + 2 + more + length };
}
