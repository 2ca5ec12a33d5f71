import { writeFile } from "node:fs/promises";

import { Command, InvalidArgumentError, Option } from "commander";
import { formatEther, parseEther, Wallet } from "ethers";
import { pino } from "pino";

import type { Hex } from "../../receipts/types.ts";
import { encodeModelBlob } from "../../zkml/modelBlob.ts";
import type { PublishProgress } from "../../zkml/publish/publishZkModel.ts";
import { type Shape } from "../../zkml/shape.ts";
import { httpUrl, privateKey, wholeNumber } from "../options.ts";
import {
  blobStoreOf,
  type BlobOptions,
  type ChainOptions,
  deploymentOption,
  rpcOption,
  withBlobOptions,
  withChain,
} from "./chainAccess.ts";
import {
  blobOf,
  describeImport,
  importFile,
  isOnnxFile,
  readModelFile,
  readSamples,
  type LoadedModel,
} from "./loadModel.ts";
import { jsonOption, shapeNamed } from "./options.ts";
import { folding, KEY_KINDS, runSteps, type KeyKind, withWorkspace } from "./workspace.ts";

interface RegisterOptions extends ChainOptions, BlobOptions {
  privateKey: Hex;
  calibration?: string;
  shape?: Shape;
  name: string;
  licence: string;
  metadataUri: string;
  price: bigint;
  royaltyBps: number;
  modes: number;
  key: KeyKind;
  verifier: string[];
  out?: string;
  json?: true;
}

export function registerCommand(): Command {
  const command = new Command("register")
    .description(
      "Publishes a model for mode ZKML: blob, version, bond, commitment, the verifiers' votes. Goes on where it was.",
    )
    .argument("<model>", "ONNX file, or a model file of zk import")
    .option("--calibration <file>", "for an ONNX file: JSON list of sample inputs, whose ranges set the scales")
    .option("--shape <shape>", "for an ONNX file: S, M or L; default: the smallest that fits", shapeNamed)
    .addOption(rpcOption().makeOptionMandatory())
    .addOption(deploymentOption())
    .addOption(
      new Option("--private-key <key>", "owner of the repository: has the OPG for the bond, pays the gas")
        .env("ZK_PRIVATE_KEY")
        .argParser(privateKey)
        .makeOptionMandatory(),
    )
    .requiredOption("--name <name>", "repository of the owner, created when there is none")
    .option("--licence <licence>", "of a new repository: SPDX identifier or URI", "UNLICENSED")
    .option("--metadata-uri <uri>", "of a new repository", "")
    .addOption(new Option("--price <opg>", "least fee for an answer, in OPG").argParser(opg).default(0n, "0"))
    .option("--royalty-bps <n>", "the owner's share of fees, in hundredths of a percent", wholeNumber(0, 10_000), 0)
    .option("--modes <n>", "bitmap of modes besides ZKML: 1 VANILLA, 4 TEE", wholeNumber(0, 5), 1)
    .addOption(
      new Option("--key <kind>", "key of the shape; has to be the chain's").choices(KEY_KINDS).default("development"),
    )
    .option("--verifier <url>", "verifier to ask, repeated for several; default: all registered", urls, [])
    .option("--out <file>", "model file to write, for zk prove and verify");
  return withBlobOptions(command).addOption(jsonOption()).action(register);
}

function opg(text: string): bigint {
  if (!/^\d+(\.\d{1,18})?$/.test(text)) throw new InvalidArgumentError(`Expected an amount of OPG, found "${text}".`);
  return parseEther(text);
}

const urls = (text: string, before: string[]): string[] => [...before, httpUrl(text)];

async function register(file: string, options: RegisterOptions): Promise<void> {
  const { json, out } = options;
  let loaded!: LoadedModel;
  const done: PublishProgress[] = [];
  let modelId: Hex | undefined;
  await withWorkspace((workspace) =>
    withChain(options, (chain, contracts) =>
      runSteps(
        [
          {
            title: `reading ${file}`,
            task: async (_, task) => {
              loaded = await load(file, options);
              task.title = describeImport(loaded).join("; ");
            },
          },
          {
            title: "publishing",
            task: async (_, task) => {
              const { publishZkModel } = await import("../../zkml/publish/publishZkModel.ts");
              const { TransactionSubmitter } = await import("../../chain/TransactionSubmitter.ts");
              const { ZkDirectory } = await import("../../zkml/ZkDirectory.ts");
              const blobs = blobStoreOf(options);
              const addresses = {
                models: contracts.ModelRegistry.address,
                nodes: contracts.NodeRegistry.address,
                settlement: contracts.ProofSettlement.address,
              };
              const directory = new ZkDirectory(chain.provider, addresses.models, blobs);
              const model = blobOf(loaded, await directory.numberOf(loaded.model.shape));
              if (out !== undefined) await writeFile(out, encodeModelBlob(model));
              const logger = pino({ level: "silent" });
              const owner = new TransactionSubmitter({ chain, signer: new Wallet(options.privateKey), logger });
              const { name, licence, metadataUri, price: priceWei, royaltyBps, modes, verifier } = options;
              try {
                await owner.start();
                modelId = await publishZkModel({
                  chain,
                  contracts: addresses,
                  owner,
                  blobs,
                  model,
                  repository: { name, licence, metadataUri },
                  terms: { priceWei, royaltyBps, modes },
                  keyOf: (shape) => workspace.keys[options.key](shape),
                  fold: folding(workspace),
                  ...(verifier.length > 0 && { verifiers: () => Promise.resolve(verifier) }),
                  onProgress: (progress) => {
                    done.push(progress);
                    task.output = describe(progress);
                  },
                });
              } finally {
                await owner.stop();
              }
              task.title = `published as ${modelId}`;
            },
          },
        ],
        json,
      ),
    ),
  );
  if (!json) return console.log([...done.map(describe), `model id: ${modelId}`].join("\n"));
  const { report, model } = loaded;
  const decimal = (_: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);
  console.log(JSON.stringify({ modelId, shape: model.shape.name, report, steps: done, file: out }, decimal, 2));
}

async function load(file: string, { calibration, shape }: RegisterOptions): Promise<LoadedModel> {
  if (isOnnxFile(file)) {
    if (calibration === undefined) throw new Error("Expected --calibration FILE with sample inputs for an ONNX file");
    return importFile(file, await readSamples(calibration), shape);
  }
  if (calibration !== undefined || shape) {
    throw new Error("Expected --calibration and --shape with an ONNX file only: a model file has its scales and shape");
  }
  return readModelFile(file);
}

function describe(progress: PublishProgress): string {
  const transaction = "transactionHash" in progress && progress.transactionHash ? ` (${progress.transactionHash})` : "";
  switch (progress.step) {
    case "stored":
      return `blob ${progress.blobId} stored`;
    case "committed":
      return `commitment ${progress.commitment.join(",")}`;
    case "repository":
      return `repository ${progress.repositoryId}${transaction || " exists"}`;
    case "version":
      return `version ${progress.modelId}${transaction || " exists"}`;
    case "bonded":
      return progress.depositedWei > 0n
        ? `bond of ${formatEther(progress.depositedWei)} OPG deposited${transaction}`
        : "bond is there";
    case "registered":
      return `commitment registered${transaction || " before"}`;
    case "voted":
      return `verifiers with ${formatEther(progress.approvingWei)} of ${formatEther(progress.totalWei)} OPG approve`;
    case "attested":
      return `attested${transaction || " before"}`;
  }
}
