import { expect } from "chai";
import { dataSlice, getAddress } from "ethers";

import { freshWorld, postedBatch, VERIFIER_STAKE } from "../../support/batches.ts";
import {
  deployProtocol,
  increaseTime,
  latestTimestamp,
  opgWei,
  Role,
  takeSeat,
  testKey,
  type Protocol,
} from "../../support/protocol.ts";

/** Operators written into a snapshot's code after 0x00, the total and n words. */
async function operatorsIn({ settlement, connection }: Protocol, setId: number): Promise<string[]> {
  const { code } = await settlement.snapshots(setId);
  const bytes = await connection.ethers.provider.getCode(code);
  const seats = ((bytes.length - 2) / 2 - 33) / 52;
  return Array.from({ length: seats }, (_, seat) => {
    const start = 33 + 32 * seats + 20 * seat;
    return getAddress(dataSlice(bytes, start, start + 20));
  });
}

const ZERO = `0x${"00".repeat(20)}`;

describe("ProofSettlement.snapshot and verifierSet", () => {
  it("snapshot_byAnyone_fixesSeatsAndStakes", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, challenger } = world;
    await staking.connect(verifiers[2]!.operator).stake(Role.Verifier, 5n);
    await increaseTime(world, 600);
    expect(await settlement.connect(challenger).snapshot.staticCall()).to.equal(2n);
    await settlement.connect(challenger).snapshot();
    const now = BigInt(await latestTimestamp(world));
    const taken = await settlement.snapshots(2);
    expect([taken.takenAt, taken.supersededAt]).to.deep.equal([now, 0n]);
    expect((await settlement.snapshots(1)).supersededAt).to.equal(now);
    const state = await settlement.state();
    expect([state.setId, state.lastSnapshot]).to.deep.equal([2n, now]);
    const [event] = await settlement.queryFilter(settlement.filters.VerifierSetSnapshotted(2));
    expect([...event!.args]).to.deep.equal([2n, taken.code, 4n, 4n * VERIFIER_STAKE + 5n]);
    const set = await settlement.verifierSet(2);
    expect([...set.signers]).to.deep.equal(verifiers.map(({ key }) => key.address));
    expect([...set.stakes]).to.deep.equal([VERIFIER_STAKE, VERIFIER_STAKE, VERIFIER_STAKE + 5n, VERIFIER_STAKE]);
    expect(set.totalStake).to.equal(4n * VERIFIER_STAKE + 5n);
  });

  it("snapshot_laterChanges_doNotTouchIt", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers } = world;
    const before = await settlement.verifierSet(1);
    await staking.connect(verifiers[0]!.operator).unstake(Role.Verifier, VERIFIER_STAKE);
    await settlement.vacateSeat(0);
    expect(await settlement.verifierSet(1)).to.deep.equal(before);
  });

  it("snapshot_delegatedStake_weighs_leavingDoesNot", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, bystanders } = world;
    await staking.connect(bystanders[0]).delegate(verifiers[0]!.operator, Role.Verifier, opgWei(50), 0);
    await staking.connect(bystanders[0]).undelegate(verifiers[0]!.operator, Role.Verifier, opgWei(20));
    await staking.connect(verifiers[1]!.operator).unstake(Role.Verifier, opgWei(7));
    await increaseTime(world, 600);
    await settlement.snapshot();
    const { stakes } = await settlement.verifierSet(2);
    expect([...stakes]).to.deep.equal([
      VERIFIER_STAKE + opgWei(30),
      VERIFIER_STAKE - opgWei(7),
      VERIFIER_STAKE,
      VERIFIER_STAKE,
    ]);
  });

  it("snapshot_understakedSeat_isEmptyThoughNobodyEvictedIt", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers } = world;
    await staking.connect(verifiers[3]!.operator).unstake(Role.Verifier, VERIFIER_STAKE - opgWei(1_000) + 1n);
    await increaseTime(world, 600);
    await settlement.snapshot();
    const { signers, stakes, totalStake } = await settlement.verifierSet(2);
    expect([signers[3], stakes[3], totalStake]).to.deep.equal([ZERO, 0n, 3n * VERIFIER_STAKE]);
  });

  it("snapshot_withinTenMinutes_reverts", async () => {
    const world = await freshWorld();
    const { settlement, connection } = world;
    const { takenAt } = await settlement.snapshots(1);
    await connection.networkHelpers.time.setNextBlockTimestamp(takenAt + 599n);
    await expect(settlement.snapshot()).to.be.revertedWithCustomError(settlement, "SetNotUsable").withArgs(1);
    await connection.networkHelpers.time.setNextBlockTimestamp(takenAt + 600n);
    await settlement.snapshot();
  });

  it("snapshot_noSeatStaked_reverts", async () => {
    const { settlement } = await deployProtocol();
    await expect(settlement.snapshot()).to.be.revertedWithCustomError(settlement, "TooFewSeats").withArgs(0, 1);
  });

  it("snapshot_tooFewStakedSeats_revertsAndTheOldSetStays", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers } = world;
    for (const { operator } of verifiers) await staking.connect(operator).unstake(Role.Verifier, VERIFIER_STAKE);
    await increaseTime(world, 600);
    await expect(settlement.snapshot()).to.be.revertedWithCustomError(settlement, "TooFewSeats").withArgs(0, 1);
    expect((await settlement.state()).setId).to.equal(1n);
    await postedBatch(world);
  });

  it("verifierSet_unknown_reverts", async () => {
    const { settlement } = await freshWorld();
    for (const setId of [0, 2]) {
      await expect(settlement.verifierSet(setId)).to.be.revertedWithCustomError(settlement, "SetNotUsable").withArgs(0);
    }
  });

  it("snapshot_fourToTenSeats_writesEveryOperatorWhole", async () => {
    const world = await freshWorld();
    const { settlement, accounts } = world;
    const taken = await Promise.all(world.verifiers.map(({ operator }) => operator.getAddress()));
    expect(await operatorsIn(world, 1)).to.deep.equal(taken);
    for (const account of accounts.slice(10, 16)) {
      await takeSeat(world, account, testKey(60 + taken.length), opgWei(1_000));
      taken.push(await account.getAddress());
      await increaseTime(world, 600);
      await settlement.snapshot();
      const { setId } = await settlement.state();
      expect(await operatorsIn(world, Number(setId)), `${taken.length} seats`).to.deep.equal(taken);
    }
    // gaps at the beginning, in the middle and at the end
    for (const seat of [9, 0, 8, 4]) {
      await settlement.connect(accounts[6 + seat]).vacateSeat(seat);
      taken[seat] = ZERO;
      await increaseTime(world, 600);
      await settlement.snapshot();
      const { setId } = await settlement.state();
      expect(await operatorsIn(world, Number(setId)), `without ${seat}`).to.deep.equal(taken);
    }
  });

  it("snapshot_oneToThreeSeats_writesEveryOperatorWhole", async () => {
    const protocol = await deployProtocol();
    const taken: string[] = [];
    for (const account of protocol.accounts.slice(1, 4)) {
      await takeSeat(protocol, account, testKey(taken.length + 10), opgWei(1_000));
      taken.push(await account.getAddress());
      await increaseTime(protocol, 600);
      await protocol.settlement.snapshot();
      expect(await operatorsIn(protocol, taken.length)).to.deep.equal(taken);
    }
  });
});
