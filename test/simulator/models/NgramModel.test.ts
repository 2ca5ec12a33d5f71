import { expect } from "chai";
import fc from "fast-check";

import { NgramModel } from "../../../simulator/models/NgramModel.ts";

const words = (text: string) => text.split(" ");

describe("NgramModel", () => {
  const model = new NgramModel([words("the cat sat ."), words("the cat ran ."), words("a dog sat .")], 3);
  const id = (word: string) => model.id(word) ?? -1;

  it("distribution_anyContext_sumsToOne", () => {
    const anyId = fc.option(fc.nat(model.vocabulary.length - 1), { nil: undefined });
    fc.assert(
      fc.property(fc.array(anyId, { maxLength: 5 }), (context) => {
        const probabilities = model.distribution(context);
        const sum = probabilities.reduce((total, p) => total + p, 0);
        return Math.abs(sum - 1) < 1e-12 && probabilities.every((p) => p > 0);
      }),
      { seed: 1 },
    );
  });

  it("distribution_seenContext_prefersWhatFollowed", () => {
    const after = model.distribution([id("the"), id("cat")]);
    expect(after[id("sat")]).to.be.greaterThan(0.3);
    expect(after[id("ran")]).to.be.greaterThan(0.3);
    expect(after[id("dog")]).to.be.lessThan(0.1);
  });

  it("distribution_shorterContext_countsDifferentPredecessors", () => {
    // "." followed three different words though "the" was said twice: Kneser–Ney ranks by variety, not by count.
    const anywhere = model.distribution([undefined]);
    expect(anywhere[id("sat")]).to.be.greaterThan(anywhere[id("the")] ?? 1);
    expect(anywhere[id("sat")]).to.be.greaterThan(anywhere[id("cat")] ?? 1);
  });

  it("distribution_unknownWord_usesOnlyWhatFollowsIt", () => {
    expect(model.distribution([id("a"), undefined])).to.deep.equal(model.distribution([]));
    expect(model.distribution([undefined, id("cat")])).to.deep.equal(model.distribution([id("cat")]));
  });
});
