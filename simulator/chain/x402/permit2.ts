import { readFile } from "node:fs/promises";

import { concat, getCreate2Address, keccak256 } from "ethers";
import { z } from "zod";

import type { Hex } from "../../receipts/types.ts";
import { x402Addresses } from "./x402Addresses.ts";

/** Uniswap mined it for the address's leading zeros. */
const SALT: Hex = "0x0000000000000000000000000000000000000000d3af2663da51c10215000000";

/** Hardhat builds it from @uniswap/v4-periphery with the compiler and settings of Uniswap's deployment: see hardhat.config.ts. */
const ARTIFACT = new URL(
  "../../../artifacts/@uniswap/v4-periphery/lib/permit2/src/Permit2.sol/Permit2.json",
  import.meta.url,
);

const artifactSchema = z.object({ bytecode: z.string().regex(/^0x[0-9a-f]+$/) });

/** Permit2 was not built, or not with the settings that give its address. */
export class Permit2BuildError extends Error {
  override readonly name = "Permit2BuildError";
  readonly code = "permit2_build";
}

/**
 * What the CREATE2 deployer has to be called with to make Permit2: the salt and the creation code.
 * @throws Permit2BuildError unless this build's Permit2 lands on the canonical address.
 */
export async function permit2Deployment(): Promise<Hex> {
  const json = await readFile(ARTIFACT, "utf8").catch((cause: unknown) => {
    throw new Permit2BuildError("Expected the artifact of Permit2: run `npm run build` first", { cause });
  });
  const { bytecode } = artifactSchema.parse(JSON.parse(json));
  const address = getCreate2Address(x402Addresses.create2Deployer, SALT, keccak256(bytecode));
  if (address !== x402Addresses.permit2) {
    throw new Permit2BuildError(
      `This build of Permit2 would land on ${address}, expected ${x402Addresses.permit2}: compiler or settings differ`,
    );
  }
  return concat([SALT, bytecode]) as Hex;
}
