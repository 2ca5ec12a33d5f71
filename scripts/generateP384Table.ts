import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { p384 } from "@noble/curves/nist.js";

/** Digits of u1 have this many bits, so that the table needs the odd multiples of G below 2^(width - 1). */
const WIDTH = 8;

export const TABLE_FILE = new URL("../contracts/attestation/p384/P384GeneratorTable.sol", import.meta.url);

/** The Solidity file with G, 3G, … 127G: 96 bytes each, x followed by 2y mod p. */
export function renderTable(): string {
  const { p } = p384.Point.CURVE();
  const hex = (value: bigint) => value.toString(16).padStart(96, "0");
  const rows = Array.from({ length: 2 ** (WIDTH - 2) }, (_, index) => {
    const { x, y } = p384.Point.BASE.multiply(BigInt(2 * index + 1)).toAffine();
    return `    hex"${hex(x)}${hex((2n * y) % p)}"`;
  });
  return `// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Written by scripts/generateP384Table.ts: do not edit.

// Signed digits of this many bits; G, 3G, … ${2 ** (WIDTH - 1) - 1}G as (x, 2y), 48 bytes each.
uint256 constant GENERATOR_WIDTH = ${WIDTH};
bytes constant GENERATOR_TABLE =
${rows.join("\n")};
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = renderTable();
  const changed = readFileSync(TABLE_FILE, "utf8") !== table;
  if (changed) writeFileSync(TABLE_FILE, table);
  console.log(changed ? "P384GeneratorTable.sol written" : "P384GeneratorTable.sol is up to date");
}
