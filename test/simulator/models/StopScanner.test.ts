import { expect } from "chai";
import fc from "fast-check";

import { StopScanner } from "../../../simulator/models/StopScanner.ts";

describe("StopScanner", () => {
  it("push_anySplit_letsOutExactlyWhatPrecedesTheFirstStop", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(fc.array(letters), fc.array(letters, { maxLength: 3 }), (pieces, stops) => {
        const scanner = new StopScanner(stops);
        const text = pieces.join("");
        // A stop is met as soon as its last letter is there, so of overlapping ones the first to end wins.
        const ends = stops.filter((stop) => stop !== "" && text.includes(stop));
        let out = "";
        for (const letter of text) out += scanner.push(letter);
        out += scanner.flush();
        if (ends.length === 0) return out === text;
        return (
          text.startsWith(out) &&
          ends.some((stop) => text.startsWith(out + stop)) &&
          !stops.some((s) => s !== "" && out.includes(s))
        );
      }),
      { seed: 1 },
    );
  });

  it("push_stopAcrossPieces_isCut", () => {
    const scanner = new StopScanner(["END"]);
    expect(scanner.push("a EN")).to.equal("a ");
    expect(scanner.push("Db")).to.equal("");
    expect(scanner.stopped).to.equal(true);
    expect(scanner.push("more") + scanner.flush()).to.equal("");
  });

  it("flush_prefixOfStop_isLetOut", () => {
    const scanner = new StopScanner(["END"]);
    expect(scanner.push("a EN") + scanner.flush()).to.equal("a EN");
    expect(scanner.stopped).to.equal(false);
  });
});
