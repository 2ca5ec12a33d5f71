import { expect } from "chai";
import { feeOf, tariffSchema, tariffToJson, usageOf } from "../../../simulator/receipts/tariff.ts";

const tariff = { baseWei: 100n, inputWei: 3n, outputWei: 7n };

describe("feeOf", () => {
  it("charges the base and every token", () => {
    expect(feeOf(tariff, { inputTokens: 10, outputTokens: 4 }, 1_000n)).to.equal(158n);
  });

  it("stops at what was signed for", () => {
    expect(feeOf(tariff, { inputTokens: 10, outputTokens: 4 }, 157n)).to.equal(157n);
    expect(feeOf(tariff, { inputTokens: Number.MAX_SAFE_INTEGER, outputTokens: 0 })).to.equal(
      100n + 3n * BigInt(Number.MAX_SAFE_INTEGER),
    );
  });

  it("charges the base where no usage is told", () => {
    expect(feeOf(tariff, undefined, 1_000n)).to.equal(100n);
  });
});

describe("usageOf", () => {
  it("reads OpenAI's usage", () => {
    const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
    expect(usageOf({ usage })).to.deep.equal({ inputTokens: 5, outputTokens: 2 });
  });

  for (const usage of [undefined, null, {}, { prompt_tokens: -1, completion_tokens: 2 }, { prompt_tokens: 1.5 }]) {
    it(`finds none in ${JSON.stringify(usage)}`, () => {
      expect(usageOf({ usage })).to.equal(undefined);
    });
  }
});

describe("tariffToJson", () => {
  it("is undone by tariffSchema", () => {
    expect(tariffSchema.parse(tariffToJson(tariff))).to.deep.equal(tariff);
  });
});
