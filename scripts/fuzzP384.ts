import { Command, InvalidArgumentError } from "commander";
import { network } from "hardhat";

import {
  collidingCase,
  expected,
  fieldNumber,
  flipped,
  fromWords,
  isValidByNoble,
  OPERATIONS,
  productOf,
  productTarget,
  Random,
  randomCase,
  toWords,
  type FieldCase,
  type SignatureCase,
} from "../test/support/p384.ts";
import { P384Verifier__factory } from "../typechain-types/index.ts";

const BATCH = 100;

const positive = (text: string) => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("expected a positive number");
  return Number(text);
};

const { rounds, seed } = new Command("fuzz:p384")
  .description("Compares P384Verifier with noble, and its field arithmetic with bigint, for as long as you like.")
  .option("--rounds <n>", "rounds of 4 signatures and 1,200 field operations each", positive, 1_000)
  .option("--seed <text>", "a run can be repeated by its seed", String(Date.now()))
  .parse()
  .opts<{ rounds: number; seed: string }>();

const connection = await network.create();
const [signer] = await connection.ethers.getSigners();
const verifier = await new P384Verifier__factory(signer!).deploy();
const harness = await connection.ethers.deployContract("P384FieldHarness");
const random = new Random(seed);

async function checkSignature(each: SignatureCase, valid: boolean): Promise<void> {
  const found = await verifier.verify(each.digest, each.signature, each.publicKey);
  if (found !== valid) throw new Error(`seed ${seed}: ${each.name} is ${found}, expected ${valid}`);
}

async function checkField(operation: number, cases: readonly FieldCase[]): Promise<void> {
  const results = fromWords((await harness.getFunction("run").staticCall(operation, toWords(cases))) as bigint[]);
  for (const [index, numbers] of cases.entries()) {
    if (results[index] === expected(operation, numbers)) continue;
    throw new Error(`seed ${seed}: ${OPERATIONS[operation]!.name}(${numbers.join(", ")}) is ${results[index]}`);
  }
}

console.log(`seed ${seed}`);
for (let round = 1; round <= rounds; round++) {
  const valid = randomCase(random);
  await checkSignature(valid, true);
  await checkSignature(flipped(random, valid), false);
  for (let i = 0; i < 2; i++) {
    const colliding = collidingCase(random);
    await checkSignature(colliding, isValidByNoble(colliding));
  }
  const number = () => fieldNumber(random);
  for (const operation of OPERATIONS.keys())
    await checkField(
      operation,
      Array.from({ length: BATCH }, (): FieldCase => [number(), number(), number(), number()]),
    );
  await checkField(
    2,
    Array.from({ length: 2 * BATCH }, () => productOf(random, productTarget(random))),
  );
  if (round % 10 === 0 || round === rounds) console.log(`${round} of ${rounds} rounds: no difference`);
}
await connection.close();
