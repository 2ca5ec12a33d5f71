import { existsSync, readFileSync } from "node:fs";

import type { Context } from "mocha";

/** Genuine documents are not in the repository; where they are, they lie beside it. */
const FOLDER = new URL("../../../shared/vectors/nitro/", import.meta.url);

/** Names of the documents, and the unix seconds, inclusive, between which their certificates are all valid. */
export const REAL_DOCUMENTS = {
  "opengradient-2026": [1_770_918_959, 1_770_929_762],
  "definite-map-2024": [1_708_930_773, 1_708_941_576],
  "definite-map-2022": [1_668_034_317, 1_668_045_120],
  "debug-mode-2022": [1_665_582_591, 1_665_593_394],
  "bad-signature-2022": [1_668_034_317, 1_668_045_120],
} as const;

export interface RealDocument {
  document: Buffer;
  /** DER of AWS's root, which every document carries. */
  root: Buffer;
  validFrom: number;
  validUntil: number;
}

/** A document of AWS hardware; skips the test that asks where there are none. */
export function realDocument(context: Context, name: keyof typeof REAL_DOCUMENTS): RealDocument {
  const file = new URL(`${name}.bin`, FOLDER);
  if (!existsSync(file)) {
    console.log(`      no ${name}.bin beside the repository (../shared/vectors/nitro): skipped`);
    context.skip();
  }
  const raw = readFileSync(file);
  // one of them is stored as base64, in which an untagged COSE_Sign1 begins with "hE"
  const document = raw.toString("latin1", 0, 2) === "hE" ? Buffer.from(raw.toString("latin1"), "base64") : raw;
  const [validFrom, validUntil] = REAL_DOCUMENTS[name];
  return { document, root: firstOfCabundle(document), validFrom, validUntil };
}

/** The root is a byte string with a length of two bytes, right behind the array's head. */
function firstOfCabundle(document: Buffer): Buffer {
  const head = document.indexOf("cabundle") + "cabundle".length + 1;
  return document.subarray(head + 3, head + 3 + document.readUInt16BE(head + 1));
}
