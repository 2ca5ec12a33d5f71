import { fileURLToPath } from "node:url";

import { expect } from "chai";
import { overrideTask } from "hardhat/config";
import { createHardhatRuntimeEnvironment } from "hardhat/hre";
import { HardhatPluginError } from "hardhat/plugins";
import { ZodError } from "zod";

import { checkedDeploy } from "../../ignition/checkedDeploy.ts";
import {
  UnsafeParametersError,
  checkDeploymentParameters,
  parametersFile,
  readDeploymentParameters,
} from "../../ignition/deploymentParameters.ts";
import type { DeploymentParameters } from "../../ignition/deploymentParameters.ts";
import config from "../../hardhat.config.ts";

const OWNER = "0x00000000000000000000000000000000DeaDBeef";
const NETWORKS = { hardhat: 31337, localhost: 31337, baseSepolia: 84532, base: 8453 };

describe("deployment parameters", () => {
  const problemsOf = (parameters: DeploymentParameters, chainId: number): readonly string[] => {
    try {
      checkDeploymentParameters(parameters, chainId);
      return [];
    } catch (error) {
      if (error instanceof UnsafeParametersError) return error.problems;
      throw error;
    }
  };

  for (const [network, chainId] of Object.entries(NETWORKS)) {
    it(`${network}_withAnOwner_areFitForTheirChainAndNoOther`, async () => {
      const parameters = {
        ...(await readDeploymentParameters(parametersFile(network))),
        owner: OWNER,
        treasury: OWNER,
      };
      expect(problemsOf(parameters, chainId)).to.deep.equal([]);
      for (const other of new Set(Object.values(NETWORKS))) {
        if (other !== chainId) expect(problemsOf(parameters, other)).to.include(`they are for chain ${chainId}`);
      }
    });
  }

  it("public_ownerNotFilledIn_areRefused", async () => {
    const problems = problemsOf(await readDeploymentParameters(parametersFile("base")), 8453);
    expect(problems).to.have.length(2);
    expect(problems.join()).to.include("`owner` is not set").and.include("`treasury` is not set");
  });

  it("local_renamedToAPublicChain_areRefusedForEachReason", async () => {
    const local = await readDeploymentParameters(parametersFile("localhost"));
    const problems = problemsOf({ ...local, chainId: 8453 }, 8453).join("\n");
    for (const reason of [
      "`owner` is a development account",
      "`treasury` is",
      "unbonding",
      "terms.window",
      "seats",
      "priceReporters",
    ]) {
      expect(problems).to.include(reason);
    }
  });

  it("hardhatAndLocalhost_areTheSame", async () => {
    expect(await readDeploymentParameters(parametersFile("hardhat"))).to.deep.equal(
      await readDeploymentParameters(parametersFile("localhost")),
    );
  });

  describe("hardhat ignition deploy", () => {
    /** The command would compile: the tests run on what is built. */
    const withoutBuild = overrideTask("build")
      .setInlineAction(() => undefined)
      .build();

    /** Runs the command on the in-process chain, with nothing printed. */
    async function deploy(taskArguments: object) {
      const hre = await createHardhatRuntimeEnvironment(
        { ...config, tasks: [checkedDeploy, withoutBuild] },
        { network: "hardhat" },
        fileURLToPath(new URL("../../", import.meta.url)),
      );
      const write = process.stdout.write.bind(process.stdout);
      process.stdout.write = () => true;
      try {
        return (await hre.tasks.getTask(["ignition", "deploy"]).run({
          modulePath: "ignition/modules/OpenGradient.ts",
          ...taskArguments,
        })) as { type: string };
      } finally {
        process.stdout.write = write;
      }
    }

    it("withoutParameters_takesTheNetworksOwn", async () => {
      expect(await deploy({})).to.include({ type: "SUCCESSFUL_DEPLOYMENT" });
    });

    it("parametersOfAnotherChain_areRefused", async () => {
      const error = await deploy({ parameters: fileURLToPath(parametersFile("base")) }).catch((e: unknown) => e);
      expect(error).to.be.instanceOf(HardhatPluginError);
      expect((error as Error).cause).to.be.instanceOf(UnsafeParametersError);
    });

    it("parametersMissing_areNamed", async () => {
      const error = await deploy({ parameters: fileURLToPath(new URL("../../package.json", import.meta.url)) }).catch(
        (e: unknown) => e,
      );
      expect((error as Error).cause).to.be.instanceOf(ZodError);
      expect((error as Error).message).to.include("OpenGradient");
    });
  });
});
