import { createHash, generateKeyPairSync, sign, verify as nodeVerify } from "node:crypto";

import { p384 } from "@noble/curves/nist.js";
import { expect } from "chai";
import { network } from "hardhat";

import { P384Verifier__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import {
  caseOf,
  caseOfPoint,
  collidingCase,
  flipped,
  G,
  isValidByNoble,
  join,
  keyOf,
  N,
  P,
  Random,
  randomCase,
  times,
  toBytes,
  toInteger,
  type Point,
  type SignatureCase,
} from "../../support/p384.ts";

/** Gas of a whole transaction, for the seeded cases below. */
const GAS_LIMIT_MEAN = 2_280_000n;
const GAS_LIMIT_WORST = 2_330_000n;

async function deployVerifier() {
  const connection = await network.create();
  const [signer] = await connection.ethers.getSigners();
  return { connection, signer: signer!, verifier: await new P384Verifier__factory(signer!).deploy() };
}

const halves = (signature: Uint8Array) => [signature.slice(0, 48), signature.slice(48)] as const;

/** A point with this x, unless there is none. */
function pointAt(x: bigint): Point | undefined {
  try {
    return p384.Point.fromBytes(join(Uint8Array.of(2), toBytes(x)));
  } catch {
    return undefined;
  }
}

describe("P384Verifier: verify", () => {
  const state = freshState(deployVerifier);
  const verify = ({ digest, signature, publicKey }: SignatureCase) =>
    state().verifier.verify(digest, signature, publicKey);

  async function expectAll(valid: boolean, cases: readonly SignatureCase[]) {
    expect(cases).to.not.be.empty;
    for (const each of cases) {
      expect(isValidByNoble(each), `noble: ${each.name}`).to.equal(valid);
      expect(await verify(each), each.name).to.equal(valid);
    }
  }

  const valid = (seed: string) => randomCase(new Random(seed), seed);

  /** A valid case with r and s replaced. */
  const withSignature = (base: SignatureCase, name: string, r: bigint, s: bigint): SignatureCase => ({
    ...base,
    name,
    signature: join(toBytes(r), toBytes(s)),
  });

  it("verify_signaturesOfOpenSSL_areValid_andInvalidWithABitFlipped", async () => {
    const random = new Random("openssl");
    for (let i = 0; i < 20; i++) {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
      const jwk = publicKey.export({ format: "jwk" });
      const message = random.bytes(i * 7);
      const signature = sign("sha384", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
      const signed: SignatureCase = {
        name: `OpenSSL's ${i}: ${signature.toString("hex")}`,
        digest: createHash("sha384").update(message).digest(),
        signature,
        publicKey: join(Buffer.from(jwk.x!, "base64url"), Buffer.from(jwk.y!, "base64url")),
      };
      await expectAll(true, [signed]);
      await expectAll(false, [flipped(random, signed)]);
      const twin = Uint8Array.from(signature);
      twin[Number(random.below(96n))]! ^= 0x40;
      const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
      expect(await verify({ ...signed, signature: twin })).to.equal(nodeVerify("sha384", message, key, twin));
    }
  });

  it("verify_signaturesOfNoble_areValid_andInvalidWithABitFlipped", async () => {
    const random = new Random("noble");
    for (let i = 0; i < 30; i++) {
      const signed = randomCase(random);
      await expectAll(true, [signed]);
      await expectAll(false, [flipped(random, signed), flipped(random, signed)]);
    }
  });

  it("verify_bothSAndItsNegative_areValid", async () => {
    const base = valid("twins");
    const [r, s] = halves(base.signature).map(toInteger) as [bigint, bigint];
    await expectAll(true, [base, withSignature(base, "n - s", r, N - s)]);
  });

  it("verify_rOrSOutOfRange_isInvalid", async () => {
    const base = valid("ranges");
    const [r, s] = halves(base.signature).map(toInteger) as [bigint, bigint];
    const outside = [0n, N, N + 1n, P - 1n, P, P + 1n, (1n << 384n) - 1n, 1n << 383n];
    const cases = outside.flatMap((value) => [
      withSignature(base, `r = ${value}`, value, s),
      withSignature(base, `s = ${value}`, r, value),
      withSignature(base, `r = s = ${value}`, value, value),
    ]);
    await expectAll(false, cases);
    // valid but for its range: congruent to the right numbers
    const small = caseOfPoint("small s", times(12345n), 1n, 99n);
    const [smallR] = halves(small.signature).map(toInteger) as [bigint];
    await expectAll(true, [small]);
    await expectAll(false, [withSignature(small, "s + n", smallR, 1n + N)]);
  });

  it("verify_smallestAndLargestS_areValid", async () => {
    const point = times(777n);
    for (const s of [1n, 2n, N - 2n, N - 1n]) await expectAll(true, [caseOfPoint(`s = ${s}`, point, s, 5n)]);
  });

  it("verify_rOf1OrNMinus1_isInvalidForOtherPoints", async () => {
    const base = valid("wrong r");
    const [, s] = halves(base.signature).map(toInteger) as [bigint, bigint];
    for (const r of [1n, 2n, N - 1n, N - 2n]) await expectAll(false, [withSignature(base, `r = ${r}`, r, s)]);
  });

  it("verify_xOfThePointAboveN_isValidWithRLessThanPMinusN_andNotWithItsNeighbour", async () => {
    const cases: SignatureCase[] = [];
    for (let r = 1n; cases.length < 6; r++) {
      const point = pointAt(N + r);
      if (point) cases.push(caseOfPoint(`x = n + ${r}`, point, 7n + r, 11n * r));
    }
    await expectAll(true, cases);
    for (const each of cases) {
      const [r, s] = halves(each.signature).map(toInteger) as [bigint, bigint];
      await expectAll(false, [withSignature(each, `${each.name}, r + 1`, r + 1n, s)]);
    }
  });

  it("verify_xOfThePointSmall_isNotTakenForOneAboveP", async () => {
    // r + n < p holds, but the point's x is r itself
    const cases: SignatureCase[] = [];
    for (let x = 1n; cases.length < 4; x++) {
      const point = pointAt(x);
      if (point) cases.push(caseOfPoint(`x = ${x}`, point, 3n, 1n << x));
    }
    await expectAll(true, cases);
  });

  it("verify_digestsAtTheirLimits_areReducedModuloN", async () => {
    const point = times(31337n);
    for (const digest of [0n, 1n, N - 1n, N, N + 1n, P, (1n << 384n) - 1n]) {
      const signed = caseOfPoint(`digest ${digest}`, point, 123456789n, digest % (1n << 384n));
      await expectAll(true, [signed]);
      await expectAll(false, [
        { ...signed, digest: toBytes(digest ^ 1n), name: `digest ${digest} with a bit flipped` },
      ]);
    }
  });

  it("verify_keyOutOfRangeOrOffTheCurve_isInvalid", async () => {
    const base = valid("keys");
    const [x, y] = [toInteger(base.publicKey.slice(0, 48)), toInteger(base.publicKey.slice(48))];
    const key = (name: string, kx: bigint, ky: bigint): SignatureCase => ({
      ...base,
      name,
      publicKey: join(toBytes(kx), toBytes(ky)),
    });
    const top = (1n << 384n) - 1n;
    await expectAll(false, [
      key("(0, 0)", 0n, 0n),
      key("(p, p)", P, P),
      key("(x, 0)", x, 0n),
      key("(0, y)", 0n, y),
      key("(y, x)", y, x),
      key("(x, y + 1)", x, y + 1n),
      key("(x + 1, y)", x + 1n, y),
      key("(x, p - y)", x, P - y),
      key("(x, p)", x, P),
      key("(p, y)", P, y),
      key("(x, all ones)", x, top),
      key("(all ones, y)", top, y),
    ]);
  });

  it("verify_keyCongruentToAPointModuloP_isInvalid", async () => {
    // x < 2^384 - p, so that x + p has 384 bits; with it everything but the range would hold
    for (let x = 0n, found = 0; found < 3; x++) {
      const point = pointAt(x);
      if (!point) continue;
      found++;
      const signed = caseOf(`key with x = ${x}`, 1234567n, 7654321n, point);
      await expectAll(true, [signed]);
      const publicKey = join(toBytes(x + P), signed.publicKey.slice(48));
      await expectAll(false, [{ ...signed, publicKey, name: `key with x = ${x} + p` }]);
    }
  });

  it("verify_keysThatAreSmallMultiplesOfG_areValid", async () => {
    const random = new Random("small keys");
    for (const k of [1n, 2n, 3n, 4n, 5n, 15n, 16n, 17n, 31n, 63n, 64n, 127n, 128n, 129n]) {
      for (const key of [times(k), times(-k)]) {
        await expectAll(true, [caseOf(`key ${k} G`, random.below(N), 1n + random.below(N - 1n), key)]);
      }
    }
  });

  it("verify_u1Zero_isValid", async () => {
    for (const u2 of [1n, 2n, 31n, N - 1n, 1n << 383n]) await expectAll(true, [caseOf("u1 = 0", 0n, u2, times(99n))]);
  });

  it("verify_everyDigitOfBothTables_isRight", async () => {
    // odd digits ±1 … ±127 for G and ±1 … ±15 for the key, further apart than their width
    const spread = (digits: readonly bigint[]) =>
      digits.reduce((sum, digit, index) => sum + (digit << BigInt(11 * index)), 0n);
    const odd = Array.from({ length: 64 }, (_, index) => BigInt(2 * index + 1));
    const key = times(0xabcdefn);
    for (const digits of [odd.slice(0, 32), odd.slice(32)]) {
      const forKey = digits.map((digit) => digit % 16n);
      for (const sign of [1n, -1n]) {
        const [u1, u2] = [spread(digits.map((digit) => sign * digit)), spread(forKey.map((digit) => sign * digit))];
        await expectAll(true, [
          caseOf(`digits ${u1}, ${u2}`, (u1 + N) % N, (u2 + N) % N, key),
          caseOf(`digits ${u1}, ${-u2}`, (u1 + N) % N, (N - u2) % N, key),
        ]);
      }
    }
  });

  it("verify_partialSumsEqualOppositeOrInfinite_agreesWithNoble", async () => {
    const random = new Random("collisions");
    let infinite = 0;
    for (let i = 0; i < 60; i++) {
      const each = collidingCase(random);
      const expected = isValidByNoble(each);
      if (!expected) infinite++;
      expect(await verify(each), each.name).to.equal(expected);
      const [r, s] = halves(each.signature).map(toInteger) as [bigint, bigint];
      expect(await verify(withSignature(each, "r + 1", r + 1n, s)), `${each.name}, r + 1`).to.equal(false);
    }
    expect(infinite, "sums at infinity").to.be.greaterThan(0);
  });

  it("verify_equalOppositeAndInfiniteSums_byHand", async () => {
    await expectAll(true, [
      caseOf("G + G", 1n, 1n, G),
      caseOf("G + 2 G, by 3 Q", 0n, 3n, G),
      caseOf("127 G + 127 (G)", 127n, 127n, G),
      caseOf("through infinity", (1n << 300n) + 5n, N - (1n << 300n), G),
      caseOf("through infinity, then by the key", 1n << 300n, N - (1n << 300n) + 5n, G),
      caseOf("through infinity with the opposite key", (1n << 300n) + 5n, 1n << 300n, times(-1n)),
    ]);
    // u1 G + u2 Q is infinity: no r is valid
    const infinite = caseOf("infinity", 5n, N - 5n, G);
    const [, s] = halves(infinite.signature).map(toInteger) as [bigint, bigint];
    await expectAll(false, [infinite, withSignature(infinite, "infinity, r = n - 1", N - 1n, s)]);
  });

  it("verify_wrongLengths_isInvalidAndDoesNotRevert", async () => {
    const base = valid("lengths");
    for (const part of ["digest", "signature", "publicKey"] as const) {
      const bytes = base[part];
      const wrong = [
        new Uint8Array(),
        bytes.slice(1),
        bytes.slice(0, -1),
        join(bytes, bytes.slice(0, 1)),
        join(bytes, bytes),
      ];
      wrong.push(join(Uint8Array.of(4), bytes), join(Uint8Array.of(0), bytes));
      for (const value of wrong)
        expect(await verify({ ...base, [part]: value }), `${part}: ${value.length}`).to.equal(false);
    }
    expect(await verify(base)).to.equal(true);
  });

  it("verify_emptyOfRightLengths_isInvalid", async () => {
    const zero = new Uint8Array(96);
    expect(await state().verifier.verify(zero.slice(48), zero, zero)).to.equal(false);
  });

  it("verify_anotherKeyOrDigest_isInvalid", async () => {
    const [one, other] = [valid("one"), valid("other")];
    await expectAll(false, [
      { ...one, publicKey: other.publicKey, name: "another key" },
      { ...one, digest: other.digest, name: "another digest" },
      { ...one, signature: other.signature, name: "another signature" },
      { ...one, publicKey: keyOf(G), name: "G as key" },
    ]);
  });

  it("verify_bytecode_fitsAContract", async () => {
    const code = await state().connection.ethers.provider.getCode(await state().verifier.getAddress());
    expect((code.length - 2) / 2).to.be.lessThanOrEqual(24_576);
  });

  it("verify_asATransaction_staysWithinItsGas", async () => {
    const { signer, verifier } = state();
    const random = new Random("gas");
    const used: bigint[] = [];
    for (let i = 0; i < 12; i++) {
      const { digest, signature, publicKey } = randomCase(random);
      const data = verifier.interface.encodeFunctionData("verify", [digest, signature, publicKey]);
      const sent = await signer.sendTransaction({ to: verifier, data });
      used.push((await sent.wait())!.gasUsed);
    }
    const mean = used.reduce((sum, gas) => sum + gas) / BigInt(used.length);
    const worst = used.reduce((most, gas) => (gas > most ? gas : most));
    expect(mean, "mean").to.be.lessThanOrEqual(GAS_LIMIT_MEAN);
    expect(worst, "worst").to.be.lessThanOrEqual(GAS_LIMIT_WORST);
  });
});
