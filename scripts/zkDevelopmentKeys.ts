/**
 * Makes the development keys of shapes S, M and L anew and writes their digests to simulator/zkml/keys/developmentDigests.ts: what has to be
 * done after a change of circuit or setup, before the verifiers are generated from them (npm run zk:verifiers).
 *
 *     tsx scripts/zkDevelopmentKeys.ts            make and write
 *     tsx scripts/zkDevelopmentKeys.ts --check    make and compare with what is committed; exit code 1 if a digest differs
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { DEVELOPMENT_DIGESTS } from "../simulator/zkml/keys/developmentDigests.ts";
import { readKeyFile } from "../simulator/zkml/keys/keyFile.ts";
import { developmentSeed } from "../simulator/zkml/keys/KeyStore.ts";
import { keyDigest, readShapeKey } from "../simulator/zkml/keys/ShapeKey.ts";
import { Prover } from "../simulator/zkml/prover/Prover.ts";
import { type ShapeName, SHAPES } from "../simulator/zkml/shape.ts";

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const target = new URL("../simulator/zkml/keys/developmentDigests.ts", import.meta.url);
const directory = await mkdtemp(join(tmpdir(), "zk-development-"));
const prover = new Prover();
try {
  let source = await readFile(target, "utf8");
  for (const [name, shape] of Object.entries(SHAPES)) {
    const file = join(directory, `${name}.key`);
    await prover.setup(shape, file, developmentSeed(shape));
    const zkey = await readKeyFile(file);
    if (!zkey) throw new Error(`The prover wrote no ${file}`);
    const digest = keyDigest(readShapeKey(shape, zkey));
    const committed = DEVELOPMENT_DIGESTS[name as ShapeName];
    console.log(`${name} ${digest}${digest === committed ? "" : `, committed is ${committed}`}`);
    if (values.check && digest !== committed) process.exitCode = 1;
    source = source.replace(committed, digest);
  }
  if (!values.check) await writeFile(target, source);
} finally {
  await prover.close();
  await rm(directory, { recursive: true, force: true });
}
