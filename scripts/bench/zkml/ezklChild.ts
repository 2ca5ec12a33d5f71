/**
 * Measures EZKL's npm engine on one of our networks, in a process of its own (`fork`, with the network's name as argument): an engine that
 * fails ends nothing else, and its memory is its own. Sends its times to the parent.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { brotliDecompressSync } from "node:zlib";

import { structuredReference } from "./ezkl/srs.ts";
import { benchNetwork, type NetworkName } from "./networks.ts";

/** Milliseconds; memory in MiB. */
export interface EzklTimes {
  setup: number;
  witness: number;
  prove: number;
  verify: number;
  proofBytes: number;
  peakMiB: number;
}

type Bytes = Uint8Array | Uint8ClampedArray;

/** What we use of `@ezkljs/engine/nodejs`; its own declarations have no promise of their version. */
interface Engine {
  genVk(circuit: Bytes, srs: Bytes, compressSelectors: boolean): Uint8Array;
  genPk(vk: Bytes, circuit: Bytes, srs: Bytes): Uint8Array;
  genWitness(circuit: Bytes, input: Bytes): Uint8Array;
  prove(witness: Bytes, pk: Bytes, circuit: Bytes, srs: Bytes): Uint8Array;
  verify(proof: Bytes, vk: Bytes, settings: Bytes, srs: Bytes): boolean;
}

const name = process.argv[2] as NetworkName;
const engine = createRequire(import.meta.url)("ezkl-engine/nodejs") as Engine;
const fixture = (suffix: string) => readFileSync(new URL(`ezkl/${name}.${suffix}`, import.meta.url));
const clamped = (bytes: Uint8Array) => new Uint8ClampedArray(bytes);

function timed<T>(work: () => T): { result: T; ms: number } {
  const started = performance.now();
  const result = work();
  return { result, ms: Math.round((performance.now() - started) * 10) / 10 };
}

const settingsFile = fixture("settings.json");
const { run_args: runArgs } = JSON.parse(settingsFile.toString()) as { run_args: { logrows: number } };
const circuit = clamped(brotliDecompressSync(fixture("compiled.br")));
const settings = clamped(settingsFile);
// a public ceremony's, for a user: its making does not count
const srs = clamped(structuredReference(runArgs.logrows));
const input = clamped(Buffer.from(JSON.stringify({ input_data: [benchNetwork(name).input] })));

const keys = timed(() => {
  const vk = clamped(engine.genVk(circuit, srs, true));
  return { vk, pk: clamped(engine.genPk(vk, circuit, srs)) };
});
const { vk, pk } = keys.result;
const witness = timed(() => engine.genWitness(circuit, input));
const proof = timed(() => engine.prove(clamped(witness.result), pk, circuit, srs));
const verified = timed(() => engine.verify(clamped(proof.result), vk, settings, srs));
if (!verified.result) throw new Error(`EZKL's proof of ${name} does not verify`);
const { proof: bytes } = JSON.parse(Buffer.from(proof.result).toString()) as { proof?: unknown };
const proofBytes = Array.isArray(bytes) ? bytes.length : typeof bytes === "string" ? (bytes.length - 2) / 2 : 0;
const times: EzklTimes = {
  setup: keys.ms,
  witness: witness.ms,
  prove: proof.ms,
  verify: verified.ms,
  proofBytes,
  peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
};
process.send?.(times);
