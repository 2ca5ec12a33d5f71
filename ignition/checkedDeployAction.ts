import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import { HardhatPluginError } from "hardhat/plugins";
import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";
import type { TaskArguments } from "hardhat/types/tasks";
import { z } from "zod";

import { checkDeploymentParameters, parametersFile, readDeploymentParameters } from "./deploymentParameters.ts";

/** Whose parameters are those of `deploymentParameters.ts`. */
const MODULES = ["OpenGradient.ts", "LocalOpenGradient.ts"];

const deployArguments = z.looseObject({ modulePath: z.string(), parameters: z.string().optional() });

/** Action of `checkedDeploy`. @throws HardhatPluginError, caused by UnsafeParametersError or ZodError */
export default async function checkedDeployAction(
  taskArguments: TaskArguments,
  hre: HardhatRuntimeEnvironment,
  runSuper: (taskArguments: TaskArguments) => Promise<unknown>,
): Promise<unknown> {
  const { modulePath, parameters } = deployArguments.parse(taskArguments);
  if (!MODULES.includes(basename(modulePath))) return runSuper(taskArguments);
  const connection = await hre.network.create();
  try {
    const file = parameters ?? fileURLToPath(parametersFile(networkNameOf(connection.networkName)));
    const chainId = Number(await connection.provider.request({ method: "eth_chainId" }));
    await check(file, chainId);
    return await runSuper({ ...taskArguments, parameters: file });
  } finally {
    await connection.close();
  }
}

/** Hardhat prints plugin errors as messages, and others as bugs of its own. */
async function check(file: string, chainId: number): Promise<void> {
  try {
    checkDeploymentParameters(await readDeploymentParameters(file), chainId);
  } catch (cause) {
    const problem = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new HardhatPluginError("opengradient", `${file}: ${problem}`, cause instanceof Error ? cause : undefined);
  }
}

/** Without --network, Hardhat uses "default": its own simulated chain. */
const networkNameOf = (name: string) => (name === "default" ? "hardhat" : name);
