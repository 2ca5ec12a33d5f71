import { expect } from "chai";
import type { Signer } from "ethers";

import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { joinVerifierSet } from "../../../simulator/verification/joinVerifierSet.ts";
import { VERIFIER_STAKE } from "../../support/batches.ts";
import { DAY, HOUR, increaseTime, Role, testKey } from "../../support/protocol.ts";
import { createVerifierWorld, eventually, type VerifierWorld } from "../verification/verifierWorld.ts";

const keeping = { snapshotIntervalMs: 20, staggerMs: 50 };

describe("VerifierNode: the verifier set", () => {
  let world: VerifierWorld;

  beforeEach(async () => {
    world = await createVerifierWorld();
  });

  afterEach(() => world.close());

  const join = (operator: Signer, key: number, stakeWei = VERIFIER_STAKE) =>
    joinVerifierSet({ ...world, operator, voteKey: testKey(key), stakeWei });

  const currentSet = async () => Number((await world.settlement.state()).setId);

  /** Long enough for every verifier to have looked several times. */
  const looks = async (count = 4): Promise<void> => {
    const head = await world.chain.provider.getBlockNumber();
    let blocks = 0;
    await eventually(async () => {
      await increaseTime(world, 1);
      return ++blocks >= count * 10;
    });
    await Promise.all(world.running.map((node) => node.reached(head + blocks)));
  };

  it("is renewed by one of them before it is a day old", async () => {
    await world.startAll(keeping);
    await increaseTime(world, 19 * HOUR);
    await looks();
    expect(await currentSet(), "still young").to.equal(1);
    await increaseTime(world, 1 * HOUR);
    const [report] = await world.toldBy("snapshotted", 1);
    await looks();
    expect(await currentSet()).to.equal(2);
    expect(world.told("snapshotted")).to.have.length(1);
    expect(report!.gasUsed > 100_000n).to.equal(true);
  });

  it("takes in a verifier that has joined, ten minutes after the last snapshot at the earliest", async () => {
    await world.settlement.connect(world.verifiers[3]!.operator).vacateSeat(3);
    await increaseTime(world, 10 * 60);
    await world.settlement.snapshot();
    expect(await join(world.verifiers[3]!.operator, 60)).to.equal(4);

    await world.startVerifier(3, { ...keeping, voter: signerFromKey(testKey(60).privateKey as Hex) });
    await looks();
    expect(await currentSet(), "too soon").to.equal(2);
    await increaseTime(world, 10 * 60);
    await world.toldBy("snapshotted", 1);
    const { signers, stakes } = await world.settlement.verifierSet(3);
    expect(signers[4]).to.equal(testKey(60).address);
    expect(stakes[3]).to.equal(0n);
  });

  it("is left alone by one without enough stake", async () => {
    await world.staking.connect(world.verifiers[0]!.operator).unstake(Role.Verifier, VERIFIER_STAKE);
    await world.startVerifier(0, keeping);
    await increaseTime(world, DAY);
    await looks();
    expect(await currentSet()).to.equal(1);
    expect(world.told("snapshotted")).to.deep.equal([]);
  });

  describe("joinVerifierSet", () => {
    it("bonds, and takes the next seat; again, it changes nothing", async () => {
      const operator = world.bystanders[6]!;
      expect(await join(operator, 61)).to.equal(4);
      expect(await join(operator, 61)).to.equal(4);
      expect(await world.staking.activeStake(operator, Role.Verifier)).to.equal(VERIFIER_STAKE);
      const { signer } = (await world.settlement.seats())[4]!;
      expect(signer).to.equal(testKey(61).address);
    });

    it("bonds only what is missing", async () => {
      const operator = world.bystanders[6]!;
      await world.staking.connect(operator).stake(Role.Verifier, VERIFIER_STAKE / 4n);
      await join(operator, 61);
      expect(await world.staking.activeStake(operator, Role.Verifier)).to.equal(VERIFIER_STAKE);
    });

    it("approves the bond when it has to", async () => {
      const operator = world.bystanders[6]!;
      await world.opg.connect(operator).approve(world.staking, 0);
      expect(await join(operator, 61)).to.equal(4);
    });

    it("two at once get two seats", async () => {
      const seats = await Promise.all([join(world.bystanders[6]!, 61), join(world.bystanders[7]!, 62)]);
      expect(seats.sort()).to.deep.equal([4, 5]);
    });

    it("takes a seat that was left long ago before a new one", async () => {
      await world.settlement.connect(world.verifiers[1]!.operator).vacateSeat(1);
      expect(await join(world.bystanders[6]!, 61), "just left").to.equal(4);
      await increaseTime(world, 9 * DAY);
      expect(await join(world.bystanders[7]!, 62)).to.equal(1);
    });

    it("does not pass another key off as the seat's", async () => {
      await join(world.bystanders[6]!, 61);
      const error: unknown = await join(world.bystanders[6]!, 62).catch((caught: unknown) => caught);
      expect(error).to.include({ code: "seat_taken_by_other_key" });
    });

    it("too little stake is the contract's refusal", async () => {
      const error: unknown = await join(world.bystanders[6]!, 61, 1n).catch((caught: unknown) => caught);
      expect(String(error)).to.include("SeatStakeTooLow");
      expect(await world.settlement.seats()).to.have.length(4);
    });
  });
});
