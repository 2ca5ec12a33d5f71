import { generateKeyPairSync } from "node:crypto";

import { expect } from "chai";
import type { Contract } from "ethers";
import { network } from "hardhat";

import { toHex } from "../../../simulator/receipts/bytes.ts";
import { rsaKey } from "../../support/rsaPss.ts";

describe("RsaPublicKey.modulusOf", () => {
  let harness: Contract;
  const { spki, modulus, publicKey } = rsaKey(2048);

  before(async () => {
    const { ethers } = await network.create();
    harness = await ethers.deployContract("RsaPssHarness");
  });

  const modulusOf = (der: Uint8Array) => harness.getFunction("modulusOf").staticCall(der) as Promise<string>;
  const refused = async (der: Uint8Array, what: string) => expect(await modulusOf(der), what).to.equal("0x");
  /** The key with bytes put in the place of `count` others, its lengths left as they are. */
  const spliced = (at: number, count: number, ...bytes: number[]): Buffer =>
    Buffer.concat([spki.subarray(0, at), Buffer.from(bytes), spki.subarray(at + count)]);

  it("keysOfNode_giveTheirModulus", async () => {
    expect(spki).to.have.length(294);
    expect(await modulusOf(spki)).to.equal(toHex(modulus));
    for (const bits of [2048, 2304, 2560, 3072, 3840, 4096]) {
      const key = rsaKey(bits);
      expect(await modulusOf(key.spki), `${bits} bits`).to.equal(toHex(key.modulus));
    }
  });

  it("anyBitOfTheFrameFlipped_isRefused", async () => {
    for (let at = 0; at < spki.length; at++) {
      // within the modulus only its top and its lowest bit are fixed
      const bits = at < 33 || at >= 289 ? [0, 1, 2, 3, 4, 5, 6, 7] : at === 33 ? [7] : at === 288 ? [0] : [];
      for (const bit of bits) {
        const changed = Buffer.from(spki);
        changed[at]! ^= 1 << bit;
        await refused(changed, `byte ${at}, bit ${bit}`);
      }
    }
  });

  it("otherLengths_areRefused", async () => {
    await refused(Buffer.alloc(0), "empty");
    await refused(spki.subarray(0, 37), "header only");
    for (const cut of [1, 5, 32, 38]) {
      await refused(spki.subarray(0, -cut), `${cut} bytes cut off`);
      await refused(spki.subarray(cut), `${cut} bytes cut off before`);
      await refused(Buffer.concat([spki, Buffer.alloc(cut)]), `${cut} bytes more`);
    }
  });

  it("otherEncodingsOfTheSameKey_areRefused", async () => {
    await refused(publicKey.export({ type: "pkcs1", format: "der" }), "PKCS #1");
    await refused(spliced(0, 2, 0x30, 0x83, 0x00), "outer length not minimal");
    await refused(spliced(17, 2), "no NULL");
    await refused(spliced(32, 1, 0x00, 0x00), "a zero more before the modulus");
    await refused(spliced(32, 1), "no zero before the modulus");
    await refused(spliced(289, 5, 0x02, 0x04, 0x00, 0x01, 0x00, 0x01), "a zero before the exponent");
  });

  it("otherKeys_areRefused", async () => {
    for (const bits of [1024, 1792, 2040, 2047, 2056, 4352]) await refused(rsaKey(bits).spki, `${bits} bits`);
    for (const exponent of [3, 17, 65539]) await refused(rsaKey(2048, exponent).spki, `exponent ${exponent}`);
    const der = { type: "spki", format: "der" } as const;
    await refused(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey.export(der), "id-RSASSA-PSS");
    await refused(generateKeyPairSync("ed25519").publicKey.export(der), "Ed25519");
    await refused(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export(der), "P-256");
  });
});
