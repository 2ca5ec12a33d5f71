import { network } from "hardhat";

import { rsaKey, sha256, signPss } from "../../test/support/rsaPss.ts";
import type { GasMeter } from "./GasMeter.ts";

/**
 * One RSASSA-PSS check of a 2,048-bit key within a call, transaction and calldata not counted. It costs the same for any key and
 * message.
 */
export async function measureRsaPss(gas: GasMeter): Promise<void> {
  const { ethers } = await network.create();
  const harness = await ethers.deployContract("RsaPssHarness");
  const key = rsaKey(2048);
  const message = Buffer.from("an answer of an enclave");
  const [used, valid] = (await harness
    .getFunction("gasOfVerify")
    .staticCall(sha256(message), signPss(key, message), key.modulus)) as [bigint, boolean];
  if (!valid) throw new Error("Expected a valid signature, found an invalid one");
  gas.row("receipt.rsa2048", Number(used));
}
