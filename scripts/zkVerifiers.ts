import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { KeyStore } from "../simulator/zkml/keys/KeyStore.ts";
import { Prover } from "../simulator/zkml/prover/Prover.ts";
import { SHAPES } from "../simulator/zkml/shape.ts";
import { verifierSource } from "../simulator/zkml/verifierSource.ts";

// Writes contracts/zkml/shapes/DevelopmentShape*.sol from the development keys, which it makes where they are missing.
const prover = new Prover();
const keys = new KeyStore(prover);
try {
  for (const shape of Object.values(SHAPES)) {
    const name = `DevelopmentShape${shape.name}`;
    const { key } = await keys.development(shape);
    const file = fileURLToPath(new URL(`../contracts/zkml/shapes/${name}.sol`, import.meta.url));
    await writeFile(file, verifierSource(key, name));
    console.log(`Wrote ${file}`);
  }
} finally {
  await prover.close();
}
