import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  checkDeploymentParameters,
  parametersFile,
  readDeploymentParameters,
} from "../../ignition/deploymentParameters.ts";
import type { DeploymentParameters } from "../../ignition/deploymentParameters.ts";
import { readIgnitionDeployment } from "../../ignition/readIgnitionDeployment.ts";
import type { IgnitionDeployment } from "../../ignition/readIgnitionDeployment.ts";
import type { Hex } from "../receipts/types.ts";
import type { AddressBook, DeployedContract } from "./addressBook.ts";
import { LOCAL_CHAIN_ID } from "./connectChain.ts";
import type { Chain } from "./connectChain.ts";
import { CONTRACT_NAMES, abiHash } from "./contracts.ts";

import { hardhatRuntime } from "./hardhatRuntime.ts";

export interface DeployOptions {
  chain: Chain;
  /** Pays for the deployment, and owns the contracts until the owner accepts them. */
  deployerKey: Hex;
  /** Default: those of the network. */
  parameters?: DeploymentParameters;
  /** Network of the address book. Default "localhost". */
  network?: string;
}

/**
 * Deploys all contracts to a chain by the same Ignition module as `hardhat ignition deploy`, and to a local one the development shapes too. Needs
 * `npm run build` first. Keeps no journal: for a public chain use the command, which can go on after an interruption.
 * @throws UnsafeParametersError
 */
export async function deployOpenGradient(options: DeployOptions): Promise<AddressBook> {
  const { chain, deployerKey, network = "localhost" } = options;
  const parameters = options.parameters ?? (await readDeploymentParameters(parametersFile(network)));
  checkDeploymentParameters(parameters, Number(chain.chainId));

  const folder = await mkdtemp(join(tmpdir(), "opengradient-deployment-"));
  try {
    const hre = await hardhatRuntime(folder);
    const override = { url: chain.url, accounts: [deployerKey] };
    const connection = await hre.network.create({ network: "localhost", override });
    try {
      const local = chain.chainId === LOCAL_CHAIN_ID;
      const { default: module } = local
        ? await import("../../ignition/modules/LocalOpenGradient.ts")
        : await import("../../ignition/modules/OpenGradient.ts");
      await connection.ignition.deploy(module, {
        parameters: { OpenGradient: parameters },
        deploymentId: network,
        config: {
          blockPollingInterval: chain.pollingIntervalMs,
          ...(local && { requiredConfirmations: 1 }),
        },
      });
    } finally {
      await connection.close();
    }
    const deployment = await readIgnitionDeployment(join(folder, "deployments", network));
    return addressBookOf(deployment, { network, chainId: chain.chainId, parameters });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The address book of what Ignition has deployed. */
export function addressBookOf(
  { addresses, startBlock }: IgnitionDeployment,
  about: Pick<AddressBook, "network" | "chainId" | "parameters">,
): AddressBook {
  const contracts = Object.fromEntries(
    CONTRACT_NAMES.map((name): [string, DeployedContract] => {
      const address = addresses[`OpenGradient#${name}`];
      if (address === undefined) throw new Error(`Expected ${name} in the deployment; it is not finished`);
      return [name, { address: address.toLowerCase() as Hex, abiHash: abiHash(name) }];
    }),
  ) as AddressBook["contracts"];
  return { ...about, startBlock, contracts };
}
