import { expect } from "chai";

import { AnswerFlight } from "../../../simulator/nodes/AnswerFlight.ts";
import { rejection } from "../../support/rejection.ts";

const all = async (flight: AnswerFlight) => {
  const pieces: string[] = [];
  for await (const piece of flight.follow()) pieces.push(piece);
  return pieces;
};

describe("AnswerFlight", () => {
  it("follow_beforeAndAfter_getTheSamePieces", async () => {
    const flight = new AnswerFlight("0x1d", "h", true);
    const early = all(flight);
    flight.emit("a");
    await flight.begun();
    const late = all(flight);
    flight.emit("b");
    flight.end();
    flight.emit("ignored");
    expect(await early).to.deep.equal(["a", "b"]);
    expect(await late).to.deep.equal(["a", "b"]);
    expect(await all(flight)).to.deep.equal(["a", "b"]);
    expect(flight.text).to.equal("ab");
    await flight.ended;
  });

  it("fail_beforeAnyPiece_rejectsBegun", async () => {
    const flight = new AnswerFlight("0x1d", "h", true);
    const begun = rejection(flight.begun());
    flight.fail(new Error("no"));
    expect((await begun).message).to.equal("no");
    expect((await rejection(all(flight))).message).to.equal("no");
    await flight.ended;
  });

  it("fail_afterAPiece_isToldAfterIt", async () => {
    const flight = new AnswerFlight("0x1d", "h", true);
    flight.emit("a");
    flight.fail(new Error("no"));
    await flight.begun();
    const pieces: string[] = [];
    const error = await rejection(
      (async () => {
        for await (const piece of flight.follow()) pieces.push(piece);
      })(),
    );
    expect(pieces).to.deep.equal(["a"]);
    expect(error.message).to.equal("no");
  });
});
