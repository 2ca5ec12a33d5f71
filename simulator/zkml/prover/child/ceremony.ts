import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type MemoryFile, zKey } from "snarkjs";

import type { Circuit } from "../../circuit/networkCircuit.ts";
import { r1csFile } from "../../circuit/r1csFile.ts";
import { writeWhole } from "../../keys/keyFile.ts";
import type { CeremonyStep } from "../tasks.ts";

/** Does a step with snarkjs, in memory: its own file handling leaks handles. Returns what snarkjs tells of it. */
export async function runCeremonyStep(circuit: Circuit, step: CeremonyStep): Promise<string[]> {
  const said: string[] = [];
  const failures: string[] = [];
  const say = (text: string) => void said.push(text);
  const logger = { debug: () => {}, info: say, warn: say, error: (text: string) => void failures.push(text) };
  const expect = (done: boolean) => {
    if (!done || failures.length > 0) throw new Error(failures.join("; ") || "the transcript is inconsistent");
  };
  const to: MemoryFile = { type: "mem" };
  switch (step.kind) {
    case "start":
      expect((await zKey.newZKey(r1csFile(circuit), await load(step.ptau), to, logger)) !== -1);
      break;
    case "contribute": {
      // snarkjs adds randomness of its own; ours makes the entropy never empty
      const entropy = randomBytes(64).toString("hex") + step.entropy;
      expect(Boolean(await zKey.contribute(await load(step.from), to, step.name, entropy, logger)));
      break;
    }
    case "finalise": {
      const { from, name, beacon, iterationsExponent } = step;
      expect(Boolean(await zKey.beacon(await load(from), to, name, beacon, iterationsExponent, logger)));
      break;
    }
    case "verify":
      expect(await zKey.verifyFromR1cs(r1csFile(circuit), await load(step.ptau), await load(step.from), logger));
      return said;
  }
  if (!to.data) throw new Error("snarkjs made no key");
  await writeWhole(step.to, [to.data]);
  return said;
}

const load = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path));
