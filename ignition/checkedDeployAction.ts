import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";
import type { TaskArguments } from "hardhat/types/tasks";
import { z } from "zod";

import { checkDeploymentParameters, parametersFile, readDeploymentParameters } from "./deploymentParameters.ts";

const deployArguments = z.looseObject({ modulePath: z.string(), parameters: z.string().optional() });

/** Action of `checkedDeploy`. @throws UnsafeParametersError, ZodError */
export default async function checkedDeployAction(
  taskArguments: TaskArguments,
  hre: HardhatRuntimeEnvironment,
  runSuper: (taskArguments: TaskArguments) => Promise<unknown>,
): Promise<unknown> {
  const { modulePath, parameters } = deployArguments.parse(taskArguments);
  if (basename(modulePath) !== "OpenGradient.ts") return runSuper(taskArguments);
  const connection = await hre.network.create();
  try {
    const file = parameters ?? fileURLToPath(parametersFile(networkNameOf(connection.networkName)));
    const chainId = Number(await connection.provider.request({ method: "eth_chainId" }));
    checkDeploymentParameters(await readDeploymentParameters(file), chainId);
    return await runSuper({ ...taskArguments, parameters: file });
  } finally {
    await connection.close();
  }
}

/** Without --network, Hardhat uses "default": its own simulated chain. */
const networkNameOf = (name: string) => (name === "default" ? "hardhat" : name);
