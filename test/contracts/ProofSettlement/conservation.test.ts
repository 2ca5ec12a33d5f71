import { expect } from "chai";
import type { Signer } from "ethers";
import fc from "fast-check";

import { Mode } from "../../../simulator/receipts/types.ts";
import {
  attest,
  buildBatch,
  challengeDuplicate,
  challengeHeaderTotal,
  challengeNodeTotal,
  challengeReceipt,
  chargesOf,
  freshWorld,
  hexAddress,
  leafOf,
  post,
  royaltyWord,
  VERIFIER_STAKE,
  type BatchOptions,
  type BuiltBatch,
  type Verifier,
  type World,
} from "../../support/batches.ts";
import { DAY, increaseTime, opgWei, Role, seatConsent, takeSeat, TERMS, testKey } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

/** Versions of the terms that a run goes through; the first is deployed. */
const VERSIONS = [
  TERMS,
  { ...TERMS, protocolBps: 333, verifierBps: 777, bond: 3, submitterSlash: 1, voterSlashBps: 1 },
  { ...TERMS, protocolBps: 0, verifierBps: 10, rewardBps: 1_999, window: 60, bond: 0, submitterSlash: 20_000 },
];

const OPERATIONS = {
  deposit: 1,
  withdraw: 1,
  post: 8,
  attest: 5,
  finalise: 6,
  challenge: 5,
  reclaim: 8,
  claim: 1,
  claimSeat: 2,
  sweep: 1,
  setTerms: 1,
  advance: 3,
  snapshot: 2,
  vacateSeat: 1,
  takeSeat: 2,
  unstake: 1,
} as const;
type Operation = keyof typeof OPERATIONS;

interface Step {
  operation: Operation;
  /** Which batch, seat, amount, …: read by each operation as it needs. */
  pick: number;
  shape: number;
}

const weighted = (Object.keys(OPERATIONS) as Operation[]).map((value) => ({
  arbitrary: fc.constant(value),
  weight: OPERATIONS[value],
}));
const steps: fc.Arbitrary<Step> = fc.record({
  operation: fc.oneof(...weighted),
  pick: fc.nat(0xffff),
  shape: fc.nat(0xffff),
});

type Challenge = (world: World, batch: BuiltBatch) => Promise<unknown>;

interface Posted {
  batch: BuiltBatch;
  /** Holders of the seats of the batch's set. */
  verifiers: Verifier[];
  challenge: Challenge | undefined;
}

/** Faults a batch may be built with, and what proves them. */
const FAULTS: readonly { options: BatchOptions; challenge: Challenge }[] = [
  {
    // mode ZKML, and no proof beside it
    options: { size: 2, receipt: (i) => (i === 0 ? { mode: Mode.Zkml } : undefined) },
    challenge: ({ referee, challenger }, batch) =>
      referee.connect(challenger).challengeMissingProof(batch.header, leafOf(batch, 0)),
  },
  {
    options: { key: (i) => (i === 0 ? testKey(99) : undefined) },
    challenge: (world, batch) => challengeReceipt(world, batch, 0),
  },
  {
    options: {
      size: 4,
      node: (level, i, node) => (level === 1 && i === 1 ? { ...node, total: node.total + 1n } : node),
    },
    challenge: (world, batch) => challengeNodeTotal(world, batch, 1, 1),
  },
  { options: { size: 3, header: { count: 2 } }, challenge: (world, batch) => challengeHeaderTotal(world, batch) },
];

/** One run: what was posted, who may be owed something, and how often each operation took effect. */
class Run {
  readonly #world: World;
  readonly #effects: Map<Operation, number>;
  readonly #posted: Posted[] = [];
  readonly #everyone: Signer[];
  #verifiers: Verifier[];
  #keys = 500;

  constructor(world: World, effects: Map<Operation, number>) {
    this.#world = { ...world };
    this.#effects = effects;
    this.#everyone = world.accounts;
    this.#verifiers = [...world.verifiers];
  }

  /** Does the step, or nothing where the contract refuses it by one of its own errors. */
  async take(step: Step): Promise<void> {
    try {
      if ((await this[step.operation](step)) === false) return;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes("reverted with custom error")) throw error;
      return;
    }
    this.#effects.set(step.operation, (this.#effects.get(step.operation) ?? 0) + 1);
  }

  /** Both contracts hold what they owe, to the wei, and no OPG came from nowhere. */
  async check(): Promise<void> {
    const { settlement, staking, referee, opg } = this.#world;
    const [{ protocolCredit }, seats] = [await settlement.state(), await settlement.seats()];
    let owed = protocolCredit;
    let staked = await staking.credits(referee);
    let held = (await opg.balanceOf(settlement)) + (await opg.balanceOf(staking));
    expect(await opg.balanceOf(referee), "what the referee pays out").to.equal(0n);
    for (const account of this.#everyone) {
      owed += (await settlement.accounts(account)).balance + (await settlement.credits(account));
      staked += await staking.credits(account);
      for (const role of [Role.Inference, Role.Verifier]) {
        const pool = await staking.pools(account, role);
        staked += pool.own + pool.delegated;
      }
      held += await opg.balanceOf(account);
    }
    for (let seat = 0; seat < seats.length; seat++) owed += await settlement.seatCredits(seat);
    for (const { batch } of this.#posted) {
      const { status, sequence, terms } = await settlement.records(batch.id);
      if (status !== Status.Pending && !(status === Status.Rejected && sequence !== 0n)) continue;
      const { protocolBps, verifierBps, bond } = VERSIONS[Number(terms) - 1]!;
      const { fees } = batch.header;
      owed += (fees * BigInt(protocolBps)) / 10_000n + (fees * BigInt(verifierBps)) / 10_000n;
      owed += chargesOf(batch).royalties + opgWei(bond);
    }
    expect(await opg.balanceOf(settlement), "settlement").to.equal(owed);
    expect(await opg.balanceOf(staking), "staking").to.equal(staked);
    expect(await opg.totalSupply(), "supply").to.equal(held);
  }

  async deposit({ pick, shape }: Step) {
    const from = this.#everyone[shape % this.#everyone.length]!;
    await this.#world.settlement.connect(from).deposit(this.#world.operator, BigInt(pick) ** 4n);
  }

  async withdraw({ pick }: Step) {
    const { settlement, operator } = this.#world;
    const { balance } = await settlement.accounts(operator);
    await settlement.connect(operator).withdraw((balance * BigInt(pick % 50)) / 100n);
  }

  async post({ pick, shape }: Step) {
    const world = this.#world;
    const owners = [world.modelOwner, world.bystanders[0]!].slice(0, 1 + (shape & 1));
    const royalties = await Promise.all(
      owners.map(async (owner, i) => royaltyWord(await hexAddress(owner), BigInt(pick + i))),
    );
    const earlier = this.#posted[pick % (this.#posted.length + 3)];
    const fault = FAULTS[(shape >> 1) % 8];
    let challenge = fault?.challenge;
    let options: BatchOptions = { size: 1 + (pick % 5), ...fault?.options };
    if (!fault && earlier) {
      const { requestId } = earlier.batch.receipts[0]!.receipt;
      options = { ...options, receipt: (i) => (i === 0 ? { requestId } : undefined) };
      challenge = (w, later) => challengeDuplicate(w, later, 0, earlier.batch, 0);
    }
    const batch = await buildBatch(world, { ...options, royalties });
    await post(world, batch, this.#seatsOf(shape >> 4));
    this.#posted.push({ batch, verifiers: world.verifiers, challenge });
  }

  attest({ pick, shape }: Step) {
    return this.#onBatch(pick, ({ batch, verifiers }) =>
      attest({ ...this.#world, verifiers }, batch, this.#seatsOf(shape)),
    );
  }

  finalise({ pick }: Step) {
    return this.#onBatch(pick, ({ batch }) => this.#world.settlement.finalise(batch.header, [...batch.royalties]));
  }

  challenge({ pick }: Step) {
    return this.#onBatch(pick, ({ batch, challenge }) => challenge?.(this.#world, batch) ?? false);
  }

  reclaim({ pick }: Step) {
    return this.#onBatch(pick, ({ batch }) => this.#world.settlement.reclaim(batch.header, [...batch.royalties]));
  }

  async claim({ pick }: Step) {
    const owner = [this.#world.modelOwner, this.#world.bystanders[0]!][pick % 2]!;
    await this.#world.settlement.connect(owner).claim(this.#everyone[pick % 7]!);
    await this.#world.staking.connect(this.#world.challenger).claim(this.#world.challenger);
  }

  async claimSeat({ pick }: Step) {
    const { settlement } = this.#world;
    const seats = await settlement.seats();
    const seat = pick % seats.length;
    const operator = this.#verifiers.find(({ operator: holder }) => this.#is(holder, seats[seat]!.operator));
    if (operator) await settlement.connect(operator.operator).claimSeatCredits(seat, operator.operator);
    return operator !== undefined;
  }

  async sweep() {
    await this.#world.settlement.sweepProtocolCredit(this.#world.owner);
  }

  async setTerms() {
    const { settlement } = this.#world;
    const next = VERSIONS[Number((await settlement.state()).terms)];
    if (next) await settlement.setTerms(next);
    return next !== undefined;
  }

  async advance({ pick }: Step) {
    // within a window, past it, or past a seat's cooldown
    const seconds = [60, 5_000, 15_000, 15_000, 9 * DAY][pick % 5]!;
    await increaseTime(this.#world, seconds);
  }

  async snapshot() {
    const { settlement } = this.#world;
    await settlement.snapshot();
    this.#world.setId = Number((await settlement.state()).setId);
    this.#world.verifiers = [...this.#verifiers];
  }

  async vacateSeat({ pick }: Step) {
    const seat = pick % this.#verifiers.length;
    await this.#world.settlement.connect(this.#verifiers[seat]!.operator).vacateSeat(seat);
  }

  async takeSeat({ pick }: Step) {
    const { settlement, staking, bystanders } = this.#world;
    const operator = bystanders[1 + (pick % (bystanders.length - 1))]!;
    const key = testKey(this.#keys++);
    const free = (await settlement.seats()).findIndex(({ vacatedAt }) => vacatedAt !== 0n);
    if (free < 0 || pick % 2 === 0) {
      const seat = await takeSeat(this.#world, operator, key, VERIFIER_STAKE + BigInt(pick));
      this.#verifiers[seat] = { operator, key };
      return;
    }
    await staking.connect(operator).stake(Role.Verifier, VERIFIER_STAKE + BigInt(pick));
    const consent = await seatConsent(settlement, free, await operator.getAddress(), key);
    await settlement.connect(operator).takeSeat(free, key, consent);
    this.#verifiers[free] = { operator, key };
  }

  async unstake({ pick }: Step) {
    const { operator } = this.#verifiers[pick % this.#verifiers.length]!;
    await this.#world.staking.connect(operator).unstake(Role.Verifier, opgWei(1 + (pick % 90_000)));
  }

  async #onBatch(pick: number, act: (posted: Posted) => Promise<unknown> | false): Promise<boolean> {
    const posted = this.#posted[this.#posted.length - 1 - (pick % Math.min(this.#posted.length, 6))];
    return posted !== undefined && (await act(posted)) !== false;
  }

  #seatsOf(bits: number): number[] {
    // all seats, a quorum, one or none
    const mask = [0b1111, 0b1011, 0b0100, 0][bits % 4]!;
    return [0, 1, 2, 3].filter((seat) => (mask >> seat) & 1);
  }

  #is(account: Signer, address: string): boolean {
    return (account as Signer & { address: string }).address === address;
  }
}

describe("ProofSettlement: conservation", () => {
  it("anySequenceOfOperations_neitherMakesNorLosesOpg", async () => {
    const effects = new Map<Operation, number>();
    const property = fc.asyncProperty(fc.array(steps, { minLength: 40, maxLength: 60 }), async (sequence) => {
      const run = new Run(await freshWorld(), effects);
      for (const [i, step] of sequence.entries()) {
        await run.take(step);
        if (i % 10 === 9) await run.check();
      }
      await run.check();
    });
    await fc.assert(property, { numRuns: 12, seed: 20_261_120, endOnFailure: true });
    for (const operation of Object.keys(OPERATIONS) as Operation[]) {
      expect(effects.get(operation) ?? 0, `effective runs of ${operation}`).to.be.greaterThan(0);
    }
  }).timeout(120_000);
});
