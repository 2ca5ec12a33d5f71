import type { Signer as Account } from "ethers";

import { contractRevertOf } from "../chain/ContractRevertError.ts";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import type { NodeStaking, OPG, ProofSettlement } from "../../typechain-types/index.ts";
import { Role } from "./VerifierView.ts";

export interface JoinVerifierSetOptions {
  staking: NodeStaking;
  settlement: ProofSettlement;
  opg: OPG;
  /** Holds the OPG, pays for the transactions and becomes the seat's operator. */
  operator: Account;
  /** Its signature will be the seat's vote; it sits once, ever. Only asked to sign its consent. */
  voteKey: Account;
  /** Wei of OPG that shall be bonded as a verifier in all; what is bonded already counts. */
  stakeWei: bigint;
}

/** The operator sits already, and another key votes for it. */
export class SeatTakenByOtherKeyError extends Error {
  override readonly name = "SeatTakenByOtherKeyError";
  readonly code = "seat_taken_by_other_key";
}

/** Several may want the same free seat at once. */
const MAX_TRIES = 10;

/**
 * Bonds and takes the next free seat. Doing it again changes nothing. The seat votes from the next snapshot on.
 * @returns the seat's number.
 * @throws SeatTakenByOtherKeyError; what the contracts revert with.
 */
export async function joinVerifierSet(options: JoinVerifierSetOptions): Promise<number> {
  const { staking, settlement, operator, stakeWei } = options;
  const address = await operator.getAddress();
  const active = await staking.activeStake(address, Role.Verifier);
  if (active < stakeWei) await bond(options, address, stakeWei - active);
  for (let tries = 1; ; tries++) {
    const held = await heldSeat(options, address);
    if (held !== undefined) return held;
    const { seat, signer, consent } = await consentToNextSeat(options, address);
    try {
      const transaction = await settlement.connect(operator).takeSeat(seat, signer, consent);
      await transaction.wait();
      return seat;
    } catch (error) {
      if (tries >= MAX_TRIES || contractRevertOf(error)?.errorName !== "SeatNotFree") throw error;
    }
  }
}

async function bond(
  { staking, opg, operator }: JoinVerifierSetOptions,
  address: string,
  amount: bigint,
): Promise<void> {
  const spender = await staking.getAddress();
  if ((await opg.allowance(address, spender)) < amount) {
    await (await opg.connect(operator).approve(spender, amount)).wait();
  }
  await (await staking.connect(operator).stake(Role.Verifier, amount)).wait();
}

async function heldSeat({ settlement, voteKey }: JoinVerifierSetOptions, address: string): Promise<number | undefined> {
  const seats = await settlement.seats();
  const seat = seats.findIndex(({ operator, vacatedAt }) => operator === address && vacatedAt === 0n);
  if (seat < 0) return undefined;
  const key = await voteKey.getAddress();
  if (seats[seat]!.signer === key) return seat;
  throw new SeatTakenByOtherKeyError(`Expected ${key} to vote for seat ${seat}, found ${seats[seat]!.signer}`);
}

/** VerifierSets.SEAT_COOLDOWN, seconds. */
const SEAT_COOLDOWN = 9n * 86_400n;

async function consentToNextSeat({ settlement, voteKey, operator }: JoinVerifierSetOptions, address: string) {
  const { provider } = operator;
  if (!provider) throw new TypeError("Expected an operator that is connected to a provider");
  const [seats, block, { chainId }] = await Promise.all([
    settlement.seats(),
    provider.getBlock("latest"),
    provider.getNetwork(),
  ]);
  const now = BigInt(block!.timestamp);
  const vacated = seats.findIndex(({ vacatedAt }) => vacatedAt !== 0n && now >= vacatedAt + SEAT_COOLDOWN);
  const seat = vacated >= 0 ? vacated : seats.length;
  const domain = {
    name: DOMAIN_NAME,
    version: DOMAIN_VERSION,
    chainId,
    verifyingContract: await settlement.getAddress(),
  };
  const types = {
    SeatConsent: [
      { name: "seat", type: "uint256" },
      { name: "operator", type: "address" },
    ],
  };
  const consent = await voteKey.signTypedData(domain, types, { seat, operator: address });
  return { seat, signer: await voteKey.getAddress(), consent };
}
