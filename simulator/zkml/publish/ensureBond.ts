import { formatEther } from "ethers";

import type { Chain } from "../../chain/connectChain.ts";
import type { TransactionSubmitter } from "../../chain/TransactionSubmitter.ts";
import type { Hex } from "../../receipts/types.ts";
import { OPG__factory } from "../../../typechain-types/index.ts";
import type { ZkDirectory } from "../ZkDirectory.ts";
import { PublishError } from "./PublishError.ts";
import type { PublishProgress } from "./publishZkModel.ts";

/** Deposits what a repository lacks for one more bond. @throws PublishError */
export async function ensureBond(
  { provider }: Chain,
  { versions, models }: ZkDirectory,
  owner: TransactionSubmitter,
  repositoryId: bigint,
  tell: (progress: PublishProgress) => void,
): Promise<void> {
  const [{ bond }, { free }] = await Promise.all([versions.zkTerms(), versions.zkBonds(repositoryId)]);
  const missing = bond > free ? bond - free : 0n;
  if (missing === 0n) return tell({ step: "bonded", depositedWei: 0n });
  const registry = await models.getAddress();
  const opg = OPG__factory.connect(await models.token(), provider);
  const [balance, allowance] = await Promise.all([
    opg.balanceOf(owner.address),
    opg.allowance(owner.address, registry),
  ]);
  if (balance < missing) {
    throw new PublishError(
      "insufficient_opg",
      `Expected ${formatEther(missing)} OPG for the bond, found ${formatEther(balance)} in account ${owner.address}`,
    );
  }
  if (allowance < missing) {
    await owner.submit(opg.approve.populateTransaction(registry, missing), { label: "approve the bond" });
  }
  const call = versions.depositZkBond.populateTransaction(repositoryId, missing);
  const { hash } = await owner.submit(call, { label: `depositZkBond ${repositoryId}` });
  tell({ step: "bonded", depositedWei: missing, transactionHash: hash as Hex });
}
