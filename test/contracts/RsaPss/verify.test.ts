import { randomBytes, sign } from "node:crypto";

import { expect } from "chai";
import type { Contract } from "ethers";
import { network } from "hardhat";

import {
  encodePss,
  type EncodedMessage,
  type RsaKey,
  rsaKey,
  SALT_LENGTH,
  sha256,
  signPss,
  signRaw,
  toBytes,
  toNumber,
  verifyPss,
} from "../../support/rsaPss.ts";

const SIZES = [2048, 3072, 4096] as const;
const MESSAGE = Buffer.from("an answer of an enclave");

describe("RsaPss.verify", () => {
  let harness: Contract;
  const keys = new Map<number, RsaKey>();
  const key = (bits: number): RsaKey => {
    if (!keys.has(bits)) keys.set(bits, rsaKey(bits));
    return keys.get(bits)!;
  };

  before(async () => {
    const { ethers } = await network.create();
    harness = await ethers.deployContract("RsaPssHarness");
  });

  const onChain = ({ modulus }: Pick<RsaKey, "modulus">, message: Uint8Array, signature: Uint8Array) =>
    harness.getFunction("verify").staticCall(sha256(message), signature, modulus) as Promise<boolean>;

  for (const bits of SIZES) {
    const length = bits / 8;

    describe(`${bits} bits`, () => {
      it("randomMessages_areJudgedAsByNode", async () => {
        for (let i = 0; i < 20; i++) {
          const message = randomBytes(i * 7);
          const signature = signPss(key(bits), message);
          expect(await onChain(key(bits), message, signature)).to.equal(true);
          expect(await onChain(key(bits), randomBytes(32), signature)).to.equal(false);
          const flipped = Buffer.from(signature);
          flipped[(i * 13) % length]! ^= 1 << (i % 8);
          expect(verifyPss(key(bits), message, flipped)).to.equal(false);
          expect(await onChain(key(bits), message, flipped)).to.equal(false);
        }
      });

      it("ownEncoding_rightlyDone_isAccepted", async () => {
        const signature = signRaw(key(bits), encodePss(MESSAGE, length));
        expect(verifyPss(key(bits), MESSAGE, signature)).to.equal(true);
        expect(await onChain(key(bits), MESSAGE, signature)).to.equal(true);
      });

      it("anyByteOfDataBlockChanged_isRefused", async () => {
        // PS, the separator and the salt, each changed before it is masked, so that nothing else is wrong
        for (let at = 0; at < length - 33; at++) {
          if (bits > 2048 && at % 32 > 1 && at % 32 < 30 && at < length - 100) continue;
          const changed = at === length - 66 ? [0x00, 0x02, 0x81] : [at === 0 ? 0x40 : 0x80, 0x01];
          for (const bit of changed) {
            const encoded = encodePss(MESSAGE, length, ({ db }) => (db[at]! ^= bit));
            const signature = signRaw(key(bits), encoded);
            if (at === length - 66 && bit === 0x00) {
              expect(await onChain(key(bits), MESSAGE, signature)).to.equal(true);
              continue;
            }
            expect(verifyPss(key(bits), MESSAGE, signature), `node, byte ${at}`).to.equal(false);
            expect(await onChain(key(bits), MESSAGE, signature), `byte ${at} ^ ${bit}`).to.equal(false);
          }
        }
      });

      it("anyByteOfHashOrTrailerChanged_isRefused", async () => {
        for (let at = 0; at < 32; at++) {
          const encoded = encodePss(MESSAGE, length, ({ h }) => (h[at]! ^= 1 << (at % 8)));
          expect(await onChain(key(bits), MESSAGE, signRaw(key(bits), encoded)), `hash byte ${at}`).to.equal(false);
        }
        for (const trailer of [0x00, 0xbd, 0xcc, 0x3c]) {
          const encoded = encodePss(MESSAGE, length, (parts) => (parts.trailer = trailer));
          expect(await onChain(key(bits), MESSAGE, signRaw(key(bits), encoded)), `trailer ${trailer}`).to.equal(false);
        }
      });

      it("leadingBitSet_isRefused", async () => {
        // the mask's first bit is random: where it is one and not cleared, all but the leading bit of EM is right
        const { modulus } = key(bits);
        let encoded: Buffer;
        do encoded = encodePss(MESSAGE, length, undefined, 0xff);
        while (encoded[0]! < 0x80 || Buffer.compare(encoded, modulus) >= 0);
        const signature = signRaw(key(bits), encoded);
        expect(verifyPss(key(bits), MESSAGE, signature)).to.equal(false);
        expect(await onChain(key(bits), MESSAGE, signature)).to.equal(false);
        encoded[0]! &= 0x7f;
        expect(await onChain(key(bits), MESSAGE, signRaw(key(bits), encoded))).to.equal(true);
      });

      it("otherSaltLengths_areRefused", async () => {
        for (const saltLength of [0, 20, 31, 33, length - 34]) {
          expect(await onChain(key(bits), MESSAGE, signPss(key(bits), MESSAGE, saltLength)), `${saltLength}`).to.equal(
            false,
          );
        }
      });

      it("separatorElsewhere_isRefused", async () => {
        // a longer salt than 32 bytes whose last 32 hash to H as they stand
        const shift = ({ db }: EncodedMessage): void => {
          db[db.length - SALT_LENGTH - 1] = 0;
          db[db.length - SALT_LENGTH - 2] = 1;
        };
        expect(await onChain(key(bits), MESSAGE, signRaw(key(bits), encodePss(MESSAGE, length, shift)))).to.equal(
          false,
        );
      });

      it("pkcs1Signature_isRefused", async () => {
        expect(await onChain(key(bits), MESSAGE, sign("sha256", MESSAGE, key(bits).privateKey))).to.equal(false);
      });

      it("signatureNotBelowModulus_isRefused", async () => {
        const n = toNumber(key(bits).modulus);
        const limit = 1n << BigInt(bits);
        let s: bigint;
        // some signature plus the modulus still fits: the same number to the exponentiation, and another signature
        do s = toNumber(signPss(key(bits), MESSAGE));
        while (s + n >= limit);
        expect(await onChain(key(bits), MESSAGE, toBytes(s, length))).to.equal(true);
        for (const other of [s + n, n, n + 1n, n - 1n, limit - 1n, 0n, 1n]) {
          expect(await onChain(key(bits), MESSAGE, toBytes(other, length))).to.equal(false);
        }
      });

      it("otherLengths_areRefused", async () => {
        const { modulus } = key(bits);
        const signature = signPss(key(bits), MESSAGE);
        const padded = (bytes: Buffer, zeros: number): Buffer => Buffer.concat([Buffer.alloc(zeros), bytes]);
        for (const wrong of [
          signature.subarray(1),
          signature.subarray(0, -1),
          padded(signature, 1),
          padded(signature, 32),
          Buffer.concat([signature, Buffer.alloc(1)]),
          Buffer.alloc(0),
        ]) {
          expect(await onChain({ modulus }, MESSAGE, wrong)).to.equal(false);
        }
        for (const zeros of [1, 32]) {
          expect(await onChain({ modulus: padded(modulus, zeros) }, MESSAGE, padded(signature, zeros))).to.equal(false);
        }
        expect(await onChain({ modulus: Buffer.alloc(0) }, MESSAGE, Buffer.alloc(0))).to.equal(false);
      });

      it("otherModulus_isRefused", async () => {
        const { modulus } = key(bits);
        const signature = signPss(key(bits), MESSAGE);
        const even = Buffer.from(modulus);
        even[length - 1]! ^= 1;
        const low = Buffer.from(modulus);
        low[0]! &= 0x7f;
        for (const other of [even, low, Buffer.alloc(length), Buffer.alloc(length, 0xff)]) {
          expect(await onChain({ modulus: other }, MESSAGE, signature)).to.equal(false);
        }
      });
    });
  }

  it("sizesInSteps_areAcceptedAndOthersRefused", async () => {
    const cases: [bits: number, accepted: boolean][] = [
      [1792, false],
      [2040, false],
      // its top bit is clear, so that its messages are encoded a bit shorter
      [2047, false],
      [2056, false],
      [2304, true],
      [2560, true],
      [4352, false],
    ];
    for (const [bits, accepted] of cases) {
      const other = rsaKey(bits);
      const signature = signPss(other, MESSAGE);
      expect(verifyPss(other, MESSAGE, signature)).to.equal(true);
      expect(await onChain(other, MESSAGE, signature), `${bits} bits`).to.equal(accepted);
    }
  });

  it("otherExponent_isRefused", async () => {
    for (const exponent of [3, 17]) {
      const other = rsaKey(2048, exponent);
      expect(await onChain(other, MESSAGE, signPss(other, MESSAGE))).to.equal(false);
    }
  });

  it("tooLittleGas_neverMakesAValidSignatureInvalid", async () => {
    const { modulus } = key(2048);
    const signature = signPss(key(2048), MESSAGE);
    const call = (gasLimit: number) =>
      harness
        .getFunction("verify")
        .staticCall(sha256(MESSAGE), signature, modulus, { gasLimit })
        .then(String, () => "reverted");
    const seen = new Set<string>();
    for (let gasLimit = 24_000; gasLimit < 80_000; gasLimit += 97) seen.add(await call(gasLimit));
    expect([...seen].sort()).to.deep.equal(["reverted", "true"]);
  });

  it("memory_isLeftAsItWas", async () => {
    const { modulus } = key(2048);
    const leavesMemoryAlone = (signature: Uint8Array) =>
      harness.getFunction("leavesMemoryAlone").staticCall(sha256(MESSAGE), signature, modulus) as Promise<boolean>;
    expect(await leavesMemoryAlone(signPss(key(2048), MESSAGE))).to.equal(true);
    expect(await leavesMemoryAlone(Buffer.alloc(256, 1))).to.equal(true);
  });

  it("gas_of2048Bits_staysBelowTheTarget", async () => {
    const [used, valid] = (await harness
      .getFunction("gasOfVerify")
      .staticCall(sha256(MESSAGE), signPss(key(2048), MESSAGE), key(2048).modulus)) as [bigint, boolean];
    expect(valid).to.equal(true);
    expect(used).to.be.lessThanOrEqual(38_000n);
  });
});
