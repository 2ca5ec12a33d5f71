import { expect } from "chai";
import { ethers } from "ethers";

import { attest, hexAddress, freshWorld, postedBatch, VERIFIER_STAKE } from "../../support/batches.ts";
import {
  DAY,
  domainOf,
  HOUR,
  increaseTime,
  latestTimestamp,
  opgWei,
  Role,
  seatConsent,
  takeSeat,
  TERMS,
  testKey,
  UNBONDING_SECONDS,
} from "../../support/protocol.ts";

const COOLDOWN = 9 * DAY;

describe("ProofSettlement.takeSeat", () => {
  it("takeSeat_nextSeat_isTaken", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders } = world;
    const [verifier, key] = [bystanders[0]!, testKey(60)];
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_000));
    const consent = await seatConsent(settlement, 4, await hexAddress(verifier), key);
    await expect(settlement.connect(verifier).takeSeat(4, key, consent))
      .to.emit(settlement, "SeatTaken")
      .withArgs(4, verifier, key);
    const seats = await settlement.seats();
    expect(seats.length).to.equal(5);
    expect([seats[4]!.operator, seats[4]!.vacatedAt, seats[4]!.signer]).to.deep.equal([
      await verifier.getAddress(),
      0n,
      key.address,
    ]);
  });

  it("takeSeat_twice_reverts", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    const { operator } = verifiers[2]!;
    const consent = await seatConsent(settlement, 4, await hexAddress(operator), testKey(60));
    await expect(settlement.connect(operator).takeSeat(4, testKey(60), consent))
      .to.be.revertedWithCustomError(settlement, "AlreadySeated")
      .withArgs(operator, 2);
  });

  it("takeSeat_stakeTooLow_reverts", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders } = world;
    const verifier = bystanders[0]!;
    const consent = await seatConsent(settlement, 4, await hexAddress(verifier), testKey(60));
    const take = () => settlement.connect(verifier).takeSeat(4, testKey(60), consent);
    await staking.connect(verifier).stake(Role.Inference, opgWei(1_000));
    await expect(take(), "stake of another role")
      .to.be.revertedWithCustomError(settlement, "SeatStakeTooLow")
      .withArgs(0n, opgWei(1_000));
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_001));
    await staking.connect(verifier).unstake(Role.Verifier, opgWei(1) + 1n);
    await expect(take(), "stake on its way out")
      .to.be.revertedWithCustomError(settlement, "SeatStakeTooLow")
      .withArgs(opgWei(1_000) - 1n, opgWei(1_000));
  });

  it("takeSeat_takenSeatOrGap_reverts", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders } = world;
    const verifier = bystanders[0]!;
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_000));
    for (const seat of [0, 3, 5, 2n ** 256n - 1n]) {
      await expect(settlement.connect(verifier).takeSeat(seat, testKey(60), "0x"), `seat ${seat}`)
        .to.be.revertedWithCustomError(settlement, "SeatNotFree")
        .withArgs(seat);
    }
  });

  it("takeSeat_vacatedSeat_isFreeAfterTheCooldown", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders, verifiers } = world;
    const [verifier, key] = [bystanders[0]!, testKey(60)];
    await settlement.connect(verifiers[1]!.operator).vacateSeat(1);
    const vacatedAt = await latestTimestamp(world);
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_000));
    const consent = await seatConsent(settlement, 1, await hexAddress(verifier), key);
    await world.connection.networkHelpers.time.setNextBlockTimestamp(vacatedAt + COOLDOWN - 1);
    await expect(settlement.connect(verifier).takeSeat(1, key, consent))
      .to.be.revertedWithCustomError(settlement, "SeatNotFree")
      .withArgs(1);
    await world.connection.networkHelpers.time.setNextBlockTimestamp(vacatedAt + COOLDOWN);
    await expect(settlement.connect(verifier).takeSeat(1, key, consent))
      .to.emit(settlement, "SeatTaken")
      .withArgs(1, verifier, key);
  });

  it("takeSeat_vacatedSeat_keepsTheLastOperatorsCredits", async () => {
    const world = await freshWorld();
    const { settlement, staking, opg, bystanders, verifiers, connection } = world;
    await postedBatch(world);
    const [last, next, key] = [verifiers[1]!.operator, bystanders[0]!, testKey(60)];
    await settlement.connect(last).vacateSeat(1);
    await increaseTime(world, COOLDOWN);
    const earned = await settlement.seatCredits(1);
    expect(earned > 0n).to.equal(true);
    await staking.connect(next).stake(Role.Verifier, opgWei(1_000));
    await settlement.connect(next).takeSeat(1, key, await seatConsent(settlement, 1, await hexAddress(next), key));

    expect(await settlement.seatCredits(1), "the new operator begins at nothing").to.equal(0n);
    for (const seat of [0, 2, 3]) expect(await settlement.seatCredits(seat)).to.equal(earned);
    await expect(settlement.connect(last).claimSeatCredits(1, last)).to.be.revertedWithCustomError(
      settlement,
      "NotSeatOperator",
    );
    await expect(settlement.connect(last).claim(last)).to.changeTokenBalances(
      connection.ethers,
      opg,
      [last, settlement],
      [earned, -earned],
    );
  });

  it("takeSeat_latestBatchThatCanPayTheSeat_stillPaidItsLastOperator", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders, verifiers, connection } = world;
    const { time } = connection.networkHelpers;
    // the longest window that the bonds' unbonding allows
    const window = UNBONDING_SECONDS - DAY - HOUR;
    await settlement.setTerms({ ...TERMS, window, accountability: window });
    const { takenAt } = await settlement.snapshots(1);
    const [last, next, key] = [verifiers[1]!.operator, bystanders[0]!, testKey(60)];
    await settlement.connect(last).vacateSeat(1);
    await time.increaseTo(takenAt + BigInt(DAY) - 5n);
    const batch = await postedBatch(world, { seats: [] });
    const { postedAt } = await settlement.records(batch.id);
    await time.increaseTo(postedAt + BigInt(window) - 5n);
    await attest(world, batch);
    const earned = await settlement.seatCredits(1);
    expect(earned > 0n).to.equal(true);

    await staking.connect(next).stake(Role.Verifier, opgWei(1_000));
    const consent = await seatConsent(settlement, 1, await hexAddress(next), key);
    await expect(settlement.connect(next).takeSeat(1, key, consent)).to.be.revertedWithCustomError(
      settlement,
      "SeatNotFree",
    );
    await time.increase(2 * DAY + 2 * HOUR);
    await settlement.connect(next).takeSeat(1, key, consent);
    expect(await settlement.credits(last)).to.equal(earned);
  });

  it("takeSeat_ownVacatedSeatAgain_needsTheCooldownAndANewKey", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    const { operator, key } = verifiers[0]!;
    await settlement.connect(operator).vacateSeat(0);
    await increaseTime(world, COOLDOWN);
    const address = await hexAddress(operator);
    await expect(settlement.connect(operator).takeSeat(0, key, await seatConsent(settlement, 0, address, key)))
      .to.be.revertedWithCustomError(settlement, "SeatSignerTaken")
      .withArgs(key);
    const fresh = testKey(60);
    await settlement.connect(operator).takeSeat(0, fresh, await seatConsent(settlement, 0, address, fresh));
  });

  it("takeSeat_vacatedOperator_mayTakeAnotherSeatAtOnce", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    const { operator } = verifiers[0]!;
    await settlement.connect(operator).vacateSeat(0);
    const consent = await seatConsent(settlement, 4, await hexAddress(operator), testKey(60));
    await settlement.connect(operator).takeSeat(4, testKey(60), consent);
    await increaseTime(world, 600);
    await settlement.snapshot();
    const { stakes, totalStake } = await settlement.verifierSet(2);
    expect([...stakes], "its stake weighs in one seat").to.deep.equal([
      0n,
      VERIFIER_STAKE,
      VERIFIER_STAKE,
      VERIFIER_STAKE,
      VERIFIER_STAKE,
    ]);
    expect(totalStake).to.equal(4n * VERIFIER_STAKE);
  });

  it("takeSeat_keyOfAnotherSeat_reverts", async () => {
    const world = await freshWorld();
    const { settlement, staking, bystanders, verifiers } = world;
    const verifier = bystanders[0]!;
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_000));
    const { key } = verifiers[0]!;
    const consent = await seatConsent(settlement, 4, await hexAddress(verifier), key);
    await expect(settlement.connect(verifier).takeSeat(4, key, consent))
      .to.be.revertedWithCustomError(settlement, "SeatSignerTaken")
      .withArgs(key);
  });

  it("takeSeat_withoutTheKeysConsent_reverts", async () => {
    const world = await freshWorld();
    const { settlement, staking, nodes, bystanders } = world;
    const [verifier, other, key] = [bystanders[0]!, bystanders[1]!, testKey(60)];
    await staking.connect(verifier).stake(Role.Verifier, opgWei(1_000));
    const address = await hexAddress(verifier);
    const types = {
      SeatConsent: [
        { name: "seat", type: "uint256" },
        { name: "operator", type: "address" },
      ],
    };
    const message = { seat: 4, operator: address };
    const domain = await domainOf(settlement);
    for (const [what, consent] of Object.entries({
      none: "0x",
      another: await seatConsent(settlement, 4, address, testKey(61)),
      "for another seat": await seatConsent(settlement, 5, address, key),
      "for another operator": await seatConsent(settlement, 4, await hexAddress(other), key),
      "for another contract": await key.signTypedData(await domainOf(nodes), types, message),
      "for another chain": await key.signTypedData({ ...domain, chainId: 1 }, types, message),
      nobodys: ethers.concat([ethers.ZeroHash, ethers.ZeroHash, "0x1b"]),
    })) {
      await expect(settlement.connect(verifier).takeSeat(4, key, consent), what)
        .to.be.revertedWithCustomError(settlement, "SeatConsentMissing")
        .withArgs(key);
    }
    await expect(settlement.connect(verifier).takeSeat(4, ethers.ZeroAddress, "0x"), "the zero address")
      .to.be.revertedWithCustomError(settlement, "SeatConsentMissing")
      .withArgs(ethers.ZeroAddress);
  });

  it("takeSeat_fortySeats_thenNoMore", async function () {
    const world = await freshWorld();
    const { settlement, staking, opg, owner, connection } = world;
    const operators = Array.from({ length: 37 }, (_, i) => testKey(200 + i).connect(connection.ethers.provider));
    for (const [i, operator] of operators.entries()) {
      await connection.networkHelpers.setBalance(operator.address, ethers.parseEther("1"));
      await opg.connect(owner).transfer(operator, opgWei(1_000));
      await opg.connect(operator).approve(staking, ethers.MaxUint256);
      if (i < 36) {
        expect(await takeSeat(world, operator, testKey(300 + i), opgWei(1_000))).to.equal(4 + i);
      } else {
        await expect(takeSeat(world, operator, testKey(300 + i), opgWei(1_000)))
          .to.be.revertedWithCustomError(settlement, "SeatNotFree")
          .withArgs(40);
      }
    }
    await increaseTime(world, 600);
    await settlement.snapshot();
    const { signers, stakes, totalStake } = await settlement.verifierSet(2);
    expect(signers.length).to.equal(40);
    expect(signers[39]).to.equal(testKey(335).address);
    expect(stakes[39]).to.equal(opgWei(1_000));
    expect(totalStake).to.equal(4n * VERIFIER_STAKE + 36n * opgWei(1_000));
    const seats = [0, 1, 2, 39];
    const forty = { ...world, verifiers: [...world.verifiers] };
    for (let i = 0; i < 36; i++) forty.verifiers.push({ operator: operators[i]!, key: testKey(300 + i) });
    const batch = await postedBatch(forty, { seats, header: { setId: 2 } });
    expect((await settlement.records(batch.id)).status, "the last seat votes").to.equal(2n);
  });
});
