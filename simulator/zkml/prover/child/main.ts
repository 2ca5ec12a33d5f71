/**
 * The prover's process. Only files in this folder import snarkjs and ffjavascript, which are GPL-3.0; they are talked to through messages
 * alone. It takes one task at a time and ends with its parent.
 */

import { networkCircuit } from "../../circuit/networkCircuit.ts";
import { writeKeyFile } from "../../keys/keyFile.ts";
import { defineShape } from "../../shape.ts";
import {
  OUT_OF_MEMORY_EXIT,
  type ProverReply,
  type ProverRequest,
  type ProverResults,
  type TaskKind,
} from "../tasks.ts";
import { runCeremonyStep } from "./ceremony.ts";
import { developmentSetup } from "./developmentSetup.ts";
import { foldCommitment } from "./foldCommitment.ts";
import { proveNetwork } from "./proveNetwork.ts";

const MEMORY_CHECK_MS = 100;

async function run({ kind, task }: ProverRequest): Promise<ProverResults[TaskKind]> {
  const shape = defineShape(task.shape.name, task.shape.dims);
  switch (kind) {
    case "setup":
      await writeKeyFile(task.keyFile, await developmentSetup(networkCircuit(shape), task.seed));
      return undefined;
    case "prove":
      return proveNetwork(shape, task.keyFile, task.input);
    case "fold":
      return foldCommitment(shape, task.keyFile, task.vector);
    case "ceremony":
      return runCeremonyStep(networkCircuit(shape), task.step);
  }
}

async function answer(request: ProverRequest): Promise<void> {
  let reply: ProverReply;
  try {
    const result = await run(request);
    reply = { job: request.job, peakMiB: peakMiB(), result };
  } catch (error) {
    reply = { job: request.job, peakMiB: peakMiB(), error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
}

const peakMiB = (): number => Math.ceil(process.resourceUsage().maxRSS / 1024);

/** WebAssembly's memory is outside of V8's heap and its limit, so the whole process is measured. */
function boundMemory(limitMiB: number): void {
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > limitMiB * 2 ** 20) process.exit(OUT_OF_MEMORY_EXIT);
  }, MEMORY_CHECK_MS);
  timer.unref();
}

boundMemory(Number(process.argv[2]));
process.on("disconnect", () => process.exit());
process.on("message", (request: ProverRequest) => void answer(request));
