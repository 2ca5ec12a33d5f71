/**
 * Measures what a proof costs for each shape: making the development key, the integer model, the witness, two proofs, verification and
 * commitment, and the prover's memory; with --ezkl, beside EZKL's npm engine on equal layers.
 *
 *     npm run bench:zkml -- --shapes S,M,L --json FILE
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";

import { SeededRandom } from "../../simulator/models/SeededRandom.ts";
import { networkCircuit } from "../../simulator/zkml/circuit/networkCircuit.ts";
import { networkWitness } from "../../simulator/zkml/circuit/witness.ts";
import { commitmentOf } from "../../simulator/zkml/commitment.ts";
import { INPUT_MAX } from "../../simulator/zkml/fixedPoint.ts";
import { KeyStore } from "../../simulator/zkml/keys/KeyStore.ts";
import { Prover } from "../../simulator/zkml/prover/Prover.ts";
import { runModel } from "../../simulator/zkml/runModel.ts";
import { type Shape, type ShapeName, SHAPES } from "../../simulator/zkml/shape.ts";
import { verifyProof } from "../../simulator/zkml/verifyProof.ts";
import type { EzklTimes } from "./zkml/ezklChild.ts";

const { values } = parseArgs({
  options: {
    shapes: { type: "string", default: Object.keys(SHAPES).join(",") },
    json: { type: "string" },
    ezkl: { type: "boolean", default: false },
  },
});

/** Longest that a proof may take on two idle cores, milliseconds. */
const TARGETS: Readonly<Record<ShapeName, number>> = { S: 1_000, M: 3_000, L: 6_000 };

/** EZKL's engine on the network of a shape, in a process of its own. */
async function measureEzkl(name: ShapeName): Promise<EzklTimes> {
  const child = fork(fileURLToPath(new URL("zkml/ezklChild.ts", import.meta.url)), [name]);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`EZKL's engine ended with ${String(code)} on ${name}`);
  });
  try {
    const [times] = (await Promise.race([once(child, "message"), ended])) as [EzklTimes];
    return times;
  } finally {
    ended.catch(() => undefined);
    child.kill();
  }
}

async function timed<T>(work: () => T | Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now();
  const result = await work();
  return { result, ms: Math.round((performance.now() - started) * 10) / 10 };
}

function question(shape: Shape) {
  const random = new SeededRandom(1);
  const vector = new Int32Array(shape.modelLength);
  for (const { weightsAt, biasesAt, flagAt } of shape.layers) {
    for (let i = weightsAt; i < biasesAt; i++) vector[i] = Math.round(random.normal() * 1024);
    if (flagAt !== undefined) vector[flagAt] = 1;
  }
  const inputs = Array.from({ length: shape.inputs }, () => Math.round(random.uniform(-INPUT_MAX, INPUT_MAX)));
  return { vector, inputs, context: 1n };
}

/** All times in milliseconds. Each shape gets a process of its own, so that its memory is its own. */
async function measure(shape: Shape, directory: string) {
  const prover = new Prover({ memoryMiB: 4096 });
  try {
    const asked = question(shape);
    const circuit = networkCircuit(shape);
    const setup = await timed(() => new KeyStore(prover, directory).development(shape));
    const { key, file } = setup.result;
    const model = await timed(() => runModel(shape, asked.vector, asked.inputs));
    const witness = await timed(() => networkWitness(shape, asked));
    const first = await timed(() => prover.prove(shape, file, asked));
    const second = await timed(() => prover.prove(shape, file, asked));
    const commitment = await timed(() => commitmentOf(key, asked.vector));
    const fold = await timed(() => prover.fold(shape, file, asked.vector));
    const { proof, signals } = second.result;
    const verify = await timed(() => verifyProof(key, commitment.result, proof, signals));
    if (!verify.result) throw new Error(`A proof of shape ${shape.name} does not verify`);
    return {
      shape: `${shape.name} ${shape.dims.join("-")}`,
      entries: shape.modelLength,
      rows: circuit.rows,
      setup: setup.ms,
      model: model.ms,
      witness: witness.ms,
      prove: first.ms,
      "prove again": second.ms,
      target: TARGETS[shape.name as ShapeName],
      verify: verify.ms,
      commit: commitment.ms,
      "commit in prover": fold.ms,
      "peak MiB": prover.peakMiB,
    };
  } finally {
    await prover.close();
  }
}

const directory = await mkdtemp(join(tmpdir(), "zk-bench-"));
try {
  console.log(`${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}; times in ms`);
  const rows = [];
  for (const name of values.shapes.split(",")) {
    const shape = SHAPES[name as ShapeName];
    if (!Object.hasOwn(SHAPES, name))
      throw new Error(`Expected shapes among ${Object.keys(SHAPES).join(", ")}, found ${name}`);
    const own = await measure(shape, directory);
    if (!values.ezkl) {
      rows.push(own);
      continue;
    }
    const ezkl = await measureEzkl(name as ShapeName);
    rows.push({
      ...own,
      "EZKL setup": ezkl.setup,
      "EZKL witness": ezkl.witness,
      "EZKL prove": ezkl.prove,
      "EZKL verify": ezkl.verify,
      "EZKL peak MiB": ezkl.peakMiB,
      "EZKL prove / ours": Math.round((ezkl.prove / own["prove again"]) * 100) / 100,
    });
  }
  const table = new Table({ head: Object.keys(rows[0] ?? {}) });
  table.push(...rows.map((row) => Object.values(row)));
  console.log(table.toString());
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  await rm(directory, { recursive: true, force: true });
}
