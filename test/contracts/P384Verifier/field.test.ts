import { expect } from "chai";
import { network } from "hardhat";

import {
  expected,
  FIELD_EDGES,
  fieldNumber,
  fromWords,
  OPERATIONS,
  P,
  productOf,
  productTarget,
  Random,
  toWords,
  type FieldCase,
} from "../../support/p384.ts";
import { freshState } from "../../support/freshState.ts";

const BATCH = 200;

async function deployHarness() {
  const connection = await network.create();
  return { connection, harness: await connection.ethers.deployContract("P384FieldHarness") };
}

describe("P384Verifier: field", () => {
  const state = freshState(deployHarness);

  async function check(operation: number, cases: readonly FieldCase[]) {
    for (let start = 0; start < cases.length; start += BATCH) {
      const batch = cases.slice(start, start + BATCH);
      const run = state().harness.getFunction("run");
      const results = fromWords((await run.staticCall(operation, toWords(batch))) as bigint[]);
      expect(results).to.have.length(batch.length);
      for (const [index, numbers] of batch.entries()) {
        const found = results[index];
        const name = `${OPERATIONS[operation]!.name}(${numbers.map((value) => value.toString(16)).join(", ")})`;
        if (found !== expected(operation, numbers)) expect.fail(`${name} is not ${found?.toString(16)}`);
      }
    }
  }

  for (const [operation, { name }] of OPERATIONS.entries()) {
    it(`${name}_edges_isExactAndCanonical`, async () => {
      const random = new Random(`edges of ${name}`);
      const edge = () => random.of(FIELD_EDGES);
      const pairs = name === "mul" || name === "sub";
      const cases = FIELD_EDGES.flatMap((a) =>
        (pairs ? FIELD_EDGES : FIELD_EDGES.slice(0, 8)).map((b): FieldCase => [a, pairs ? b : edge(), edge(), edge()]),
      );
      await check(operation, cases);
    });

    it(`${name}_numbersOfOddShapes_isExactAndCanonical`, async () => {
      const random = new Random(`shapes of ${name}`);
      const number = () => fieldNumber(random);
      await check(
        operation,
        Array.from({ length: 400 }, (): FieldCase => [number(), number(), number(), number()]),
      );
    });
  }

  it("mulSub_quotientsAndRemaindersAtTheirLimits_isExactAndCanonical", async () => {
    const random = new Random("targets");
    await check(
      2,
      Array.from({ length: 1_200 }, () => productOf(random, productTarget(random))),
    );
  });

  it("mul_productsAtThePrimeAndAtPowersOfTwo_isCanonical", async () => {
    // products in p … 2^384 - 1, and one above 2^384 whose lower digits are all ones
    const products = [(1n << 384n) - 2n, (1n << 384n) - 1n, (1n << 385n) - 1n, P + 1n, 2n * P - 2n];
    const divisors = [2n, 3n, 5n, 7n, 15n, 17n, 31n, 1n << 64n];
    const cases = products.flatMap((product) =>
      divisors.filter((d) => product % d === 0n).map((d): FieldCase => [product / d, d, 0n, 0n]),
    );
    expect(cases.length).to.be.greaterThan(8);
    await check(0, cases);
  });
});
