import { expect } from "chai";
import { Signature, SigningKey, Wallet, concat, toBeHex } from "ethers";
import fc from "fast-check";
import {
  addressOfKey,
  curveKind,
  ethersCurve,
  randomKey,
  recoverAddress,
  signDigest,
  signerFromKey,
} from "../../../simulator/receipts/secp256k1.ts";
import { toHex } from "../../../simulator/receipts/bytes.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const key: Hex = `0x${"46".repeat(32)}`;
const digest: Hex = `0x${"ab".repeat(32)}`;
const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);

describe("secp256k1", () => {
  it("runs on the native library where a prebuild fits", () => {
    const prebuilt = ["linux-x64", "darwin-arm64", "win32-x64"].includes(`${process.platform}-${process.arch}`);
    expect(curveKind).to.equal(prebuilt ? "native" : "ethers");
  });

  it("signs what ethers signs, and both implementations agree", () => {
    const impl = ethersCurve();
    fc.assert(
      fc.property(digests, (hash) => {
        const signature = signDigest(hash, key);
        expect(signature).to.equal(new SigningKey(key).sign(hash).compactSerialized);
        expect(signDigest(hash, key, impl)).to.equal(signature);
        expect(recoverAddress(hash, signature)).to.equal(addressOfKey(key));
        expect(recoverAddress(hash, signature, impl)).to.equal(addressOfKey(key));
      }),
      { numRuns: 25 },
    );
  });

  it("addressOfKey is the wallet's address", () => {
    const random = randomKey();
    expect(addressOfKey(random)).to.equal(new Wallet(random).address.toLowerCase());
    expect(addressOfKey(random, ethersCurve())).to.equal(addressOfKey(random));
    expect(signerFromKey(random).address).to.equal(addressOfKey(random));
  });

  it("another digest does not recover the signer", () => {
    const signature = signDigest(digest, key);
    expect(recoverAddress(`0x${"ac".repeat(32)}`, signature)).to.not.equal(addressOfKey(key));
  });

  it("refuses a high s", () => {
    const { r } = Signature.from(signDigest(digest, key));
    const withS = (s: bigint) => concat([r, toBeHex(s, 32)]) as Hex;
    for (const impl of [undefined, ethersCurve()]) {
      expect(recoverAddress(digest, withS(ORDER / 2n), impl), "highest low s").to.be.a("string");
      expect(recoverAddress(digest, withS(ORDER / 2n + 1n), impl), "lowest high s").to.equal(undefined);
      expect(recoverAddress(digest, withS(2n ** 255n - 1n), impl), "highest high s").to.equal(undefined);
    }
  });

  it("refuses zeros, values beyond the order, and other lengths", () => {
    const signature = signDigest(digest, key);
    const zero = "00".repeat(32);
    const beyond = "ff".repeat(32);
    for (const wrong of [
      "0x",
      signature.slice(0, -2),
      `${signature}00`,
      `0x${zero}${zero}`,
      `0x${zero}${signature.slice(66)}`,
      `0x${signature.slice(2, 66)}${zero}`,
      `0x${beyond}${signature.slice(66)}`,
      `0x${"zz".repeat(64)}`,
    ]) {
      for (const impl of [undefined, ethersCurve()]) {
        expect(recoverAddress(digest, wrong as Hex, impl), wrong).to.equal(undefined);
      }
    }
  });
});
