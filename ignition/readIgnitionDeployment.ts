import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

const addressesSchema = z.record(z.string(), z.string());

/** The only lines of Ignition's journal that matter here. */
const confirmationSchema = z.object({
  type: z.literal("TRANSACTION_CONFIRM"),
  receipt: z.object({ blockNumber: z.int() }),
});

/** What is in a folder of ignition/deployments. */
export interface IgnitionDeployment {
  /** By future id, e.g. "OpenGradient#OPG". */
  readonly addresses: Readonly<Record<string, string>>;
  /** Block of the first transaction. */
  readonly startBlock: number;
}

/** No finished deployment is there. */
export class DeploymentNotFoundError extends Error {
  override readonly name = "DeploymentNotFoundError";
  readonly code = "deployment_not_found";
}

/** Reads the outcome of an Ignition deployment from its folder. @throws DeploymentNotFoundError */
export async function readIgnitionDeployment(folder: string): Promise<IgnitionDeployment> {
  try {
    const addresses = addressesSchema.parse(
      JSON.parse(await readFile(join(folder, "deployed_addresses.json"), "utf8")),
    );
    const journal = (await readFile(join(folder, "journal.jsonl"), "utf8")).split("\n").filter((line) => line !== "");
    const blocks = journal.flatMap((line) => {
      const { success, data } = confirmationSchema.safeParse(JSON.parse(line));
      return success ? [data.receipt.blockNumber] : [];
    });
    return { addresses, startBlock: Math.min(...blocks) };
  } catch (cause) {
    throw new DeploymentNotFoundError(`Expected a finished Ignition deployment in ${folder}: deploy first`, { cause });
  }
}
