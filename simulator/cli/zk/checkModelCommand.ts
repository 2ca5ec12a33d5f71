import { Command, Option } from "commander";

import type { Hex } from "../../receipts/types.ts";
import { checkModel, type ModelReport } from "../../zkml/checkModel.ts";
import { ZkDirectory, ZkStatus } from "../../zkml/ZkDirectory.ts";
import {
  blobStoreOf,
  type BlobOptions,
  type ChainOptions,
  deploymentOption,
  rpcOption,
  withBlobOptions,
  withChain,
} from "./chainAccess.ts";
import { bytes32, jsonOption } from "./options.ts";
import { folding, KEY_KINDS, runSteps, type KeyKind, withWorkspace } from "./workspace.ts";

interface CheckOptions extends ChainOptions, BlobOptions {
  key: KeyKind;
  json?: true;
}

export function checkModelCommand(): Command {
  const command = new Command("check-model")
    .description(
      "Recomputes a registered model's commitment from its published blob; exit code 1 when something is wrong.",
    )
    .argument("<id>", "modelId of the version", bytes32)
    .addOption(rpcOption().makeOptionMandatory())
    .addOption(deploymentOption())
    .addOption(
      new Option("--key <kind>", "key of the shape; has to be the chain's").choices(KEY_KINDS).default("development"),
    );
  return withBlobOptions(command).addOption(jsonOption()).action(check);
}

async function check(modelId: Hex, options: CheckOptions): Promise<void> {
  let report!: ModelReport;
  await withWorkspace((workspace) =>
    withChain(options, (chain, contracts) =>
      runSteps(
        [
          {
            title: `recomputing the commitment of ${modelId}`,
            task: async () => {
              const blobs = blobStoreOf(options);
              const directory = new ZkDirectory(chain.provider, contracts.ModelRegistry.address, blobs);
              const keyOf = (shape: Parameters<typeof workspace.keys.development>[0]) =>
                workspace.keys[options.key](shape);
              report = await checkModel(modelId, { directory, blobs, keyOf, fold: folding(workspace) });
            },
          },
        ],
        options.json,
      ),
    ),
  );
  const { registration, blobId, commitment, faults } = report;
  const status = Object.entries(ZkStatus).find(([, value]) => value === registration.status)?.[0];
  if (faults.length > 0) process.exitCode = 1;
  if (options.json) {
    const summary = { modelId, blobId, status, commitment: commitment?.map(String), faults };
    return console.log(JSON.stringify(summary, null, 2));
  }
  for (const { kind, message } of faults) console.error(`Wrong (${kind}): ${message}`);
  if (faults.length === 0) console.log(`The commitment is that of the published weights; status: ${status}`);
}
