import { expect } from "chai";

import { freshWorld, postedBatch, VERIFIER_STAKE } from "../../support/batches.ts";
import { takeSeat, testKey } from "../../support/protocol.ts";

describe("ProofSettlement.claimSeatCredits", () => {
  it("claimSeatCredits_oneSeat_leavesTheOthersOfItsWord", async () => {
    const world = await freshWorld();
    const { settlement, opg, verifiers, challenger, connection } = world;
    await postedBatch(world);
    const earned = await settlement.seatCredits(2);
    const verifier = verifiers[2]!.operator;
    const tx = settlement.connect(verifier).claimSeatCredits(2, challenger);
    await expect(tx).to.emit(settlement, "SeatCreditsClaimed").withArgs(2, challenger, earned);
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [challenger, settlement], [earned, -earned]);
    for (const [seat, left] of [earned, earned, 0n, earned].entries()) {
      expect(await settlement.seatCredits(seat), `seat ${seat}`).to.equal(left);
    }
    await expect(settlement.connect(verifier).claimSeatCredits(2, challenger))
      .to.emit(settlement, "SeatCreditsClaimed")
      .withArgs(2, challenger, 0n);
  });

  it("claimSeatCredits_bySomebodyElse_reverts", async () => {
    const world = await freshWorld();
    const { settlement, verifiers, challenger } = world;
    for (const caller of [challenger, verifiers[1]!.operator]) {
      await expect(settlement.connect(caller).claimSeatCredits(0, caller))
        .to.be.revertedWithCustomError(settlement, "NotSeatOperator")
        .withArgs(caller, verifiers[0]!.operator);
    }
  });

  it("claimSeatCredits_seatNobodyEverTook_reverts", async () => {
    const { settlement, challenger } = await freshWorld();
    await expect(settlement.connect(challenger).claimSeatCredits(4, challenger)).to.be.revertedWithPanic(0x32);
  });

  it("claimSeatCredits_vacatedSeat_staysItsLastOperators", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    await postedBatch(world);
    const verifier = verifiers[0]!.operator;
    await settlement.connect(verifier).vacateSeat(0);
    const earned = await settlement.seatCredits(0);
    await expect(settlement.connect(verifier).claimSeatCredits(0, verifier))
      .to.emit(settlement, "SeatCreditsClaimed")
      .withArgs(0, verifier, earned);
  });

  it("claimSeatCredits_seatsOfTheNextWord_areSeparate", async () => {
    const world = await freshWorld();
    const { settlement, bystanders, connection } = world;
    const key = testKey(60);
    expect(await takeSeat(world, bystanders[0]!, key, VERIFIER_STAKE)).to.equal(4);
    await connection.networkHelpers.time.increase(600);
    await settlement.snapshot();
    const five = { ...world, verifiers: [...world.verifiers, { operator: bystanders[0]!, key }] };
    await postedBatch(five, { header: { setId: 2 } });
    const earned = await settlement.seatCredits(4);
    expect(earned > 0n).to.equal(true);
    expect(await settlement.seatCredits(0)).to.equal(earned);
    await settlement.connect(bystanders[0]).claimSeatCredits(4, bystanders[0]!);
    expect(await settlement.seatCredits(4)).to.equal(0n);
    expect(await settlement.seatCredits(0)).to.equal(earned);
  });
});
