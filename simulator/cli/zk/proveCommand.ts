import { writeFile } from "node:fs/promises";

import { Command, Option } from "commander";

import type { Hex } from "../../receipts/types.ts";
import { contextSignal, type ProofContext } from "../../zkml/context.ts";
import { keyDigest } from "../../zkml/keys/ShapeKey.ts";
import { unpackOutputs } from "../../zkml/packing.ts";
import { dequantiseOutputs, quantiseInputs } from "../../zkml/quantise/ZkModel.ts";
import type { Shape } from "../../zkml/shape.ts";
import {
  describeImport,
  importFile,
  isOnnxFile,
  readInput,
  readModelFile,
  readSamples,
  type LoadedModel,
} from "./loadModel.ts";
import { address, bytes32, chainNumber, jsonOption, shapeNamed } from "./options.ts";
import { type ProofFile, proofFileToJson } from "./proofFile.ts";
import { KEY_KINDS, runSteps, type KeyKind, type Workspace, withWorkspace } from "./workspace.ts";

interface ProveOptions {
  input: string;
  out: string;
  calibration?: string;
  shape?: Shape;
  key: KeyKind;
  chainId: bigint;
  consumer: Hex;
  requestId: Hex;
  modelId: Hex;
  requester: Hex;
  json?: true;
}

const ZERO_ADDRESS: Hex = `0x${"0".repeat(40)}`;
const ZERO_WORD: Hex = `0x${"0".repeat(64)}`;

export function proveCommand(): Command {
  return new Command("prove")
    .description("Proves what a model answers to an input. Needs no chain.")
    .argument("<model>", "ONNX file, or a model file of zk import or zk register")
    .requiredOption("--input <file>", "JSON list of the input's numbers")
    .option("--out <file>", "proof to write", "proof.json")
    .option("--calibration <file>", "for an ONNX file: JSON list of sample inputs; default: the input alone")
    .option("--shape <shape>", "for an ONNX file: S, M or L; default: the smallest that fits", shapeNamed)
    .addOption(new Option("--key <kind>", "key to prove with").choices(KEY_KINDS).default("development"))
    .addOption(new Option("--chain-id <n>", "chain that the proof is for").argParser(chainNumber).default(0n, "0"))
    .option("--consumer <address>", "contract that acts on the proof", address, ZERO_ADDRESS)
    .option("--request-id <id>", "request that it answers", bytes32, ZERO_WORD)
    .option("--model-id <id>", "version in ModelRegistry", bytes32, ZERO_WORD)
    .option("--requester <address>", "who asked", address, ZERO_ADDRESS)
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Examples:
  $ opengradient zk prove model.onnx --input input.json --out proof.json
  $ opengradient zk verify proof.json`,
    )
    .action(prove);
}

async function prove(file: string, options: ProveOptions): Promise<void> {
  const input = await readInput(options.input);
  let loaded!: LoadedModel;
  let proof!: ProofFile;
  await withWorkspace((workspace) =>
    runSteps(
      [
        {
          title: `reading ${file}`,
          task: async (_, task) => {
            loaded = await load(file, input, options);
            task.title = describeImport(loaded).join("; ");
          },
        },
        {
          title: "proving",
          task: async (_, task) => {
            proof = await makeProof(workspace, loaded, input, options);
            await writeFile(options.out, `${JSON.stringify(proofFileToJson(proof), null, 2)}\n`);
            task.title = `proof in ${options.out}`;
          },
        },
      ],
      options.json,
    ),
  );
  const outputs = outputsOf(proof);
  const { context, keyDigest: digest } = proof;
  if (options.json) {
    const summary = { shape: proof.shape.name, outputs, proof: options.out, keyDigest: digest };
    return console.log(
      JSON.stringify({ ...summary, context: { ...context, chainId: String(context.chainId) } }, null, 2),
    );
  }
  console.log(`answer: ${outputs.join(", ")}`);
}

async function load(file: string, input: readonly number[], options: ProveOptions): Promise<LoadedModel> {
  const { calibration, shape } = options;
  if (!isOnnxFile(file)) {
    if (calibration !== undefined || shape) {
      throw new Error(
        "Expected --calibration and --shape with an ONNX file only: a model file has its scales and shape",
      );
    }
    return readModelFile(file);
  }
  return importFile(file, calibration === undefined ? [[...input]] : await readSamples(calibration), shape);
}

async function makeProof(
  { prover, keys }: Workspace,
  { model }: LoadedModel,
  input: readonly number[],
  { key: kind, chainId, consumer, requestId, modelId, requester }: ProveOptions,
): Promise<ProofFile> {
  const { shape, vector, inputs, outputs, inputScales, outputScale } = model;
  const { key, file } = await keys[kind](shape);
  const context: ProofContext = { chainId, consumer, requestId, modelId, requester };
  const asked = { vector, inputs: quantiseInputs(model, input), context: contextSignal(context) };
  const { proof, inWords, outWords } = await prover.prove(shape, file, asked);
  const commitment = await prover.fold(shape, file, vector);
  const tensors = { inWords, outWords, proof };
  return { shape, keyDigest: keyDigest(key), context, commitment, inputs, outputs, inputScales, outputScale, tensors };
}

/** The answer in the model's own units. */
export function outputsOf(proof: ProofFile): number[] {
  return dequantiseOutputs(proof, unpackOutputs(proof.shape, proof.tensors.outWords));
}

export const isUnbound = ({ requestId, modelId }: ProofContext): boolean =>
  requestId === ZERO_WORD && modelId === ZERO_WORD;
