import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import { deployProtocol, type Protocol } from "./protocol.ts";

const PARTS = [
  "owner",
  "operator",
  "otherOperator",
  "delegator",
  "otherDelegator",
  "slasher",
  "challenger",
  "payer",
  "payee",
  "relayer",
  "modelOwner",
  "stranger",
] as const;

/** The protocol with the dev accounts under the parts they play; the first is deployer and owner. */
export type Stage = Protocol & Record<(typeof PARTS)[number], HardhatEthersSigner>;

export async function deployStage(chain: { chainId?: number } = {}): Promise<Stage> {
  const protocol = await deployProtocol(chain);
  const signers = await protocol.connection.ethers.getSigners();
  const parts = Object.fromEntries(PARTS.map((part, index) => [part, signers[index]]));
  return { ...protocol, ...parts } as Stage;
}

/** Sets the time of the next block, unix seconds. */
export async function nextBlockAt({ connection }: Protocol, timestamp: number | bigint): Promise<void> {
  await connection.networkHelpers.time.setNextBlockTimestamp(timestamp);
}
