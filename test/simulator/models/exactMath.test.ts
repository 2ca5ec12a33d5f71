import { expect } from "chai";
import fc from "fast-check";

import { exp, log } from "../../../scripts/training/exactMath.ts";

describe("exactMath", () => {
  it("exp_anyArgument_agreesWithMath", () => {
    fc.assert(
      fc.property(fc.double({ min: -690, max: 690, noNaN: true }), (x) => Math.abs(exp(x) / Math.exp(x) - 1) < 1e-14),
      { seed: 1 },
    );
  });

  it("log_anyPositive_agreesWithMath", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
        return Math.abs(log(x) - Math.log(x)) <= 1e-15 * (1 + Math.abs(Math.log(x)));
      }),
      { seed: 1 },
    );
  });

  it("log_notPositive_throws", () => {
    for (const x of [0, -1, Number.NaN]) expect(() => log(x)).to.throw(RangeError);
  });
});
