import type { Hex } from "../receipts/types.ts";
import { holdingOf, totalOf } from "./ledger.ts";
import type { Invariant } from "./report.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";

const GENESIS_SUPPLY = 10n ** 27n;

/** Wei of OPG of everybody, by name. */
export async function holdings(network: SimulatedNetwork): Promise<Map<string, bigint>> {
  const found = new Map<string, bigint>();
  for (const { name, address } of network.participants) {
    const seat = network.verifiers.find(({ account }) => account.name === name)?.seat;
    const total = totalOf(await holdingOf(network.contracts, address, seat));
    if (total !== 0n) found.set(name, total);
  }
  return found;
}

/** Counts every wei of OPG: in circulation, and in each contract against what it owes. */
export async function auditSupply(network: SimulatedNetwork): Promise<{ invariants: Invariant[]; burnedWei: bigint }> {
  const { opg, staking, settlement, escrow, models } = network.contracts;
  const owners = network.participants.map(({ address }) => address);
  const sum = async (of: (owner: Hex) => Promise<bigint>) =>
    (await Promise.all(owners.map(of))).reduce((a, b) => a + b, 0n);

  const supply = await opg.totalSupply();
  const [inStaking, inSettlement, inEscrow, inModels] = (await Promise.all(
    [staking, settlement, escrow, models].map(async (contract) => opg.balanceOf(await contract.getAddress())),
  )) as [bigint, bigint, bigint, bigint];
  const wallets = await sum((owner) => opg.balanceOf(owner));

  const bonds = await sum(async (owner) => {
    const pools = await Promise.all([0, 1, 2].map((role) => staking.pools(owner, role)));
    return pools.reduce((total, { own, delegated }) => total + own + delegated, 0n);
  });
  const rewards = await sum((owner) => staking.credits(owner));
  const prepaid = await sum(async (owner) => (await settlement.accounts(owner)).balance);
  const royalties = await sum((owner) => settlement.credits(owner));
  const seats = await Promise.all(network.verifiers.map(({ seat }) => settlement.seatCredits(seat)));
  const { protocolCredit } = await settlement.state();
  const escrowCredits = await sum((owner) => escrow.credits(owner));
  const escrowProtocol = await escrow.protocolCredit();

  const repositories = Array.from({ length: Number(await models.repositoryCount()) }, (_, i) => models.zkBonds(i + 1));
  const zkBonds = (await Promise.all(repositories)).reduce((sum, { free, locked }) => sum + free + locked, 0n);

  const equal = (name: string, found: bigint, expected: bigint): Invariant => ({
    name,
    ok: found === expected,
    detail: `expected ${expected}, found ${found}`,
  });
  return {
    burnedWei: GENESIS_SUPPLY - supply,
    invariants: [
      equal("no OPG outside wallets and contracts", wallets + inStaking + inSettlement + inEscrow + inModels, supply),
      equal("staking holds what it owes", inStaking, bonds + rewards),
      equal(
        "settlement holds what it owes",
        inSettlement,
        prepaid + royalties + seats.reduce((a, b) => a + b, 0n) + protocolCredit,
      ),
      equal("escrow holds what it owes", inEscrow, escrowCredits + escrowProtocol),
      equal("the model registry holds the bonds", inModels, zkBonds),
    ],
  };
}
