import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { getAddress } from "ethers";
import type { JsonRpcProvider } from "ethers";
import { z } from "zod";

import { deploymentParametersSchema } from "../../ignition/deploymentParameters.ts";
import type { DeploymentParameters } from "../../ignition/deploymentParameters.ts";
import { hexSchema } from "../receipts/types.ts";
import type { Hex } from "../receipts/types.ts";
import { CONTRACT_NAMES } from "./contracts.ts";
import type { ContractName } from "./contracts.ts";

export interface DeployedContract {
  /** Lower case. */
  readonly address: Hex;
  /** See `abiHash`. */
  readonly abiHash: Hex;
}

/** Where the contracts of a network are. `deployments/<network>.json`, which the package exports. */
export interface AddressBook {
  /** Name in hardhat.config.ts. */
  readonly network: string;
  readonly chainId: bigint;
  /** Block of the deployment's first transaction: no event is older. */
  readonly startBlock: number;
  readonly contracts: Readonly<Record<ContractName, DeployedContract>>;
  /** What it was deployed with; governance may have changed some of it since. */
  readonly parameters: DeploymentParameters;
}

const contractSchema = z.strictObject({ address: hexSchema(20), abiHash: hexSchema(32) });

const addressBookSchema = z.strictObject({
  network: z.string(),
  chainId: z
    .int()
    .positive()
    .transform((chainId) => BigInt(chainId)),
  startBlock: z.int().min(0),
  contracts: z.record(z.enum(CONTRACT_NAMES), contractSchema),
  parameters: deploymentParametersSchema,
});

const FOLDER = new URL("../../deployments/", import.meta.url);

const isMissing = (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT";

/** Parses the JSON of an address book. @throws ZodError */
export const parseAddressBook = (json: string): AddressBook => addressBookSchema.parse(JSON.parse(json));

/** The text of `deployments/<network>.json`: checksummed addresses, amounts as decimal strings. */
export function formatAddressBook({ network, chainId, startBlock, contracts, parameters }: AddressBook): string {
  const entries = CONTRACT_NAMES.map((name) => {
    const { address, abiHash } = contracts[name];
    return [name, { address: getAddress(address), abiHash }] as const;
  });
  const book = { network, chainId: Number(chainId), startBlock, contracts: Object.fromEntries(entries), parameters };
  const decimal = (_: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);
  return `${JSON.stringify(book, decimal, 2)}\n`;
}

/** The address book of a network; undefined when none was written. */
export async function loadAddressBook(network: string): Promise<AddressBook | undefined> {
  try {
    return parseAddressBook(await readFile(new URL(`${network}.json`, FOLDER), "utf8"));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Writes `deployments/<network>.json`. @returns its path. */
export async function saveAddressBook(book: AddressBook): Promise<string> {
  const file = new URL(`${book.network}.json`, FOLDER);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(file, formatAddressBook(book));
  return fileURLToPath(file);
}

/**
 * Finds the deployment on the chain a provider is connected to: an address book for its chain id whose contracts are there. A development chain has
 * them only once somebody has deployed to it.
 */
export async function findDeployment(provider: JsonRpcProvider, chainId: bigint): Promise<AddressBook | undefined> {
  const files = await readdir(FOLDER).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  for (const file of files.filter((name) => name.endsWith(".json")).sort()) {
    const book = await loadAddressBook(file.slice(0, -".json".length));
    if (book?.chainId !== chainId) continue;
    const codes = await Promise.all(CONTRACT_NAMES.map((name) => provider.getCode(book.contracts[name].address)));
    if (codes.every((code) => code !== "0x")) return book;
  }
  return undefined;
}
