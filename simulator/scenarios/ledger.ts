import type { InferenceEscrow, NodeStaking, OPG, ProofSettlement } from "../../typechain-types/index.ts";
import type { Hex } from "../receipts/types.ts";

/** The contracts that hold OPG. */
export interface Treasury {
  opg: OPG;
  staking: NodeStaking;
  settlement: ProofSettlement;
  escrow: InferenceEscrow;
}

const ROLES = [0, 1, 2] as const;

/** All OPG of somebody, wherever it is, in wei. */
export interface Holding {
  wallet: bigint;
  /** Own stake in all roles, leaving stake included. */
  staked: bigint;
  /** Rewards, royalties and escrow credits that wait to be claimed. */
  claimable: bigint;
  /** Prepaid settlement account. */
  prepaid: bigint;
}

export const totalOf = ({ wallet, staked, claimable, prepaid }: Holding): bigint =>
  wallet + staked + claimable + prepaid;

/**
 * What an account owns in its wallet and in our contracts.
 * @param seat its verifier seat, when it has one.
 */
export async function holdingOf(treasury: Treasury, account: Hex, seat?: number): Promise<Holding> {
  const { opg, staking, settlement, escrow } = treasury;
  const [wallet, pools, reward, royalty, escrowed, { balance }, seatCredits] = await Promise.all([
    opg.balanceOf(account),
    Promise.all(ROLES.map((role) => staking.pools(account, role))),
    staking.credits(account),
    settlement.credits(account),
    escrow.credits(account),
    settlement.accounts(account),
    seat === undefined ? 0n : settlement.seatCredits(seat),
  ]);
  return {
    wallet,
    staked: pools.reduce((sum, pool) => sum + pool.own, 0n),
    claimable: reward + royalty + escrowed + seatCredits,
    prepaid: balance,
  };
}
