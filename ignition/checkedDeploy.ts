import { overrideTask } from "hardhat/config";

/**
 * `hardhat ignition deploy`, for OpenGradient: takes the network's own parameter file unless another is named, and refuses parameters that do not
 * fit the chain.
 */
export const checkedDeploy = overrideTask(["ignition", "deploy"])
  .setAction(() => import("./checkedDeployAction.ts"))
  .build();
