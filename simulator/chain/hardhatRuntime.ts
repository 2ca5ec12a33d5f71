import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import type { HardhatRuntimeEnvironment } from "hardhat/types/hre";

const CONFIG_FILE = fileURLToPath(new URL("../../hardhat.config.ts", import.meta.url));

/**
 * Hardhat with this project's configuration, whatever the working directory is. Loaded only when asked for, because those who connect to a chain do
 * not need it.
 * @param ignitionFolder where Ignition keeps its journals. Default: `ignition/` of this project.
 */
export async function hardhatRuntime(ignitionFolder?: string): Promise<HardhatRuntimeEnvironment> {
  const { createHardhatRuntimeEnvironment, importUserConfig } = await import("hardhat/hre");
  const config = await importUserConfig(CONFIG_FILE);
  const paths = { ...config.paths, ...(ignitionFolder !== undefined && { ignition: ignitionFolder }) };
  return createHardhatRuntimeEnvironment({ ...config, paths }, { config: CONFIG_FILE }, dirname(CONFIG_FILE));
}
