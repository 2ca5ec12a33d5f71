import { expect } from "chai";
import { settlementTypeOf } from "../../../simulator/receipts/settlementType.ts";

describe("settlementTypeOf", () => {
  const names: Record<string, string[]> = {
    private: ["private", "PRIVATE"],
    batch: ["batch", "BATCH", "BATCH_HASHED", "SETTLE_BATCH", "settle_batch"],
    individual: [
      "individual",
      "INDIVIDUAL_FULL",
      "SETTLE",
      "SETTLE_METADATA",
      "SETTLE_INDIVIDUAL",
      "SETTLE_INDIVIDUAL_WITH_METADATA",
    ],
  };
  for (const [type, all] of Object.entries(names)) {
    it(`settlementTypeOf_namesOf_${type}`, () => {
      for (const name of all) expect(settlementTypeOf(name), name).to.equal(type);
    });
  }

  it("settlementTypeOf_otherNames_areNone", () => {
    for (const name of ["", "BATCHED", "constructor", "__proto__", "private,batch"]) {
      expect(settlementTypeOf(name), name).to.equal(undefined);
    }
  });
});
