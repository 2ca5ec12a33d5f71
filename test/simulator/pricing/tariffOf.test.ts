import { expect } from "chai";
import fc from "fast-check";
import { PriceUnavailableError } from "../../../simulator/pricing/PriceSource.ts";
import { tariffOf } from "../../../simulator/pricing/tariffOf.ts";
import { feeOf } from "../../../simulator/receipts/tariff.ts";
import { UINT96_MAX } from "../../../simulator/receipts/types.ts";

const picoUsd = fc.bigInt({ min: 0n, max: 10n ** 12n });
const opg = fc.bigInt({ min: 10n ** 8n, max: 10n ** 16n });
const bps = fc.integer({ min: 0, max: 5_000 });

describe("tariffOf", () => {
  it("tariffOf_dollarsPerMillion_areWeiPerToken", () => {
    // $0.15 and $0.60 a million tokens, OPG at $0.05: 3 and 12 OPG a million
    const tariff = tariffOf({ inputPicoUsd: 150_000n, outputPicoUsd: 600_000n }, 5n * 10n ** 10n);
    expect(tariff).to.deep.equal({ baseWei: 0n, inputWei: 3n * 10n ** 12n, outputWei: 12n * 10n ** 12n });
    expect(feeOf(tariff, { inputTokens: 1_000_000, outputTokens: 1_000_000 })).to.equal(15n * 10n ** 18n);
    const withMargin = tariffOf({ inputPicoUsd: 150_000n, outputPicoUsd: 0n }, 5n * 10n ** 10n, {
      marginBps: 50,
      baseWei: 7n,
    });
    expect(withMargin).to.deep.equal({ baseWei: 7n, inputWei: 3_015_000_000_000n, outputWei: 0n });
  });

  it("tariffOf_rounding_isUpByLessThanOneWei", () => {
    fc.assert(
      fc.property(picoUsd, picoUsd, opg, bps, (inputPicoUsd, outputPicoUsd, price, marginBps) => {
        const { inputWei, outputWei } = tariffOf({ inputPicoUsd, outputPicoUsd }, price, { marginBps });
        for (const [pico, wei] of [
          [inputPicoUsd, inputWei],
          [outputPicoUsd, outputWei],
        ] as const) {
          // wei · price covers the price asked, and one wei less would not
          const asked = pico * 10n ** 18n * BigInt(10_000 + marginBps);
          expect(wei * price * 10_000n >= asked).to.equal(true);
          expect(wei === 0n || (wei - 1n) * price * 10_000n < asked).to.equal(true);
          expect(wei > 0n).to.equal(pico > 0n);
        }
      }),
    );
  });

  it("tariffOf_cheaperOpg_neverCostsLess", () => {
    fc.assert(
      fc.property(picoUsd, opg, opg, (inputPicoUsd, a, b) => {
        const at = (price: bigint): bigint => tariffOf({ inputPicoUsd, outputPicoUsd: 0n }, price).inputWei;
        return a <= b ? at(a) >= at(b) : at(b) >= at(a);
      }),
    );
  });

  it("tariffOf_priceThatIsNone_isRefused", () => {
    for (const bad of [0n, -1n]) {
      expect(() => tariffOf({ inputPicoUsd: 1n, outputPicoUsd: 1n }, bad)).to.throw(PriceUnavailableError);
    }
  });

  it("tariffOf_moreThan96Bits_isRefused", () => {
    const dollar = 10n ** 12n;
    expect(() => tariffOf({ inputPicoUsd: dollar, outputPicoUsd: 0n }, 1n)).to.throw(PriceUnavailableError, /too much/);
    const most = tariffOf({ inputPicoUsd: dollar, outputPicoUsd: 0n }, 100n);
    expect(most.inputWei <= UINT96_MAX).to.equal(true);
  });
});
