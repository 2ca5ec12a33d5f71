import { expect } from "chai";

import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { turnOf } from "../../../simulator/verification/stagger.ts";

describe("turnOf", () => {
  const seats = [0, 2, 3, 7];

  it("gives every seat a turn of its own, and others the last", () => {
    const turns = seats.map((seat) => turnOf(keccak256("batch"), seats, seat));
    expect(turns.sort()).to.deep.equal([0, 1, 2, 3]);
    expect(turnOf(keccak256("batch"), seats, 1)).to.equal(4);
    expect(turnOf(keccak256("batch"), seats, -1)).to.equal(4);
  });

  it("lets every seat be first about as often", () => {
    const first = new Map<number, number>();
    for (let i = 0; i < 400; i++) {
      const seat = seats.find((each) => turnOf(keccak256(`batch ${i}`), seats, each) === 0)!;
      first.set(seat, (first.get(seat) ?? 0) + 1);
    }
    for (const seat of seats) expect(first.get(seat)).to.be.within(60, 140);
  });
});
