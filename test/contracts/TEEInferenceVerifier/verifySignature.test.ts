import { sign } from "node:crypto";

import { expect } from "chai";
import { ethers } from "ethers";

import { rsaKey, sha256, signPss } from "../../support/rsaPss.ts";
import {
  deployVerifier,
  INPUT_HASH,
  LIVE_FROM,
  LIVE_UNTIL,
  messageOf,
  OUTPUT_HASH,
  type VerifierWorld,
} from "./world.ts";

const NOW = LIVE_FROM + 10_000n;
const OTHER = ethers.id("other");

describe("TEEInferenceVerifier.verifySignature", () => {
  let world: VerifierWorld;
  beforeEach(async () => {
    world = await deployVerifier();
    await world.mineAt(NOW);
  });

  const verify = (timestamp: bigint, signature: Uint8Array, teeId = world.teeId) =>
    world.verifier.verifySignature(teeId, INPUT_HASH, OUTPUT_HASH, timestamp, signature);

  it("verifySignature_ofALiveEnclave_isTrue", async () => {
    expect(await verify(NOW, world.signed(NOW))).to.equal(true);
  });

  it("verifySignature_onlyWithinItsWindow_isTrue", async () => {
    // the window of OpenGradient's verifier, both ends inclusive
    for (const [timestamp, expected] of [
      [NOW - 3_600n, true],
      [NOW - 3_601n, false],
      [NOW + 300n, true],
      [NOW + 301n, false],
    ] as const) {
      expect(await verify(timestamp, world.signed(timestamp)), `${timestamp - NOW}`).to.equal(expected);
    }
  });

  it("verifySignature_timeBeyondAllClocks_isFalseAndDoesNotOverflow", async () => {
    for (const timestamp of [ethers.MaxUint256, ethers.MaxUint256 - 3_599n, 0n]) {
      expect(await verify(timestamp, world.signed(timestamp))).to.equal(false);
    }
  });

  it("verifySignature_outsideTheEnclavesTime_isFalse", async () => {
    for (const [now, timestamp, expected] of [
      [LIVE_UNTIL - 1n, LIVE_UNTIL - 1n, true],
      [LIVE_UNTIL, LIVE_UNTIL - 1n, true],
      [LIVE_UNTIL + 1n, LIVE_UNTIL, false],
    ] as const) {
      await world.mineAt(now);
      expect(await verify(timestamp, world.signed(timestamp)), `${timestamp}`).to.equal(expected);
    }
    world = await deployVerifier();
    await world.mineAt(LIVE_FROM + 10n);
    expect(await verify(LIVE_FROM, world.signed(LIVE_FROM))).to.equal(true);
    expect(await verify(LIVE_FROM - 1n, world.signed(LIVE_FROM - 1n))).to.equal(false);
  });

  it("verifySignature_ofOtherFields_isFalse", async () => {
    const signature = world.signed(NOW);
    const { verifier, teeId } = world;
    expect(await verifier.verifySignature(teeId, OTHER, OUTPUT_HASH, NOW, signature)).to.equal(false);
    expect(await verifier.verifySignature(teeId, INPUT_HASH, OTHER, NOW, signature)).to.equal(false);
    expect(await verifier.verifySignature(teeId, OUTPUT_HASH, INPUT_HASH, NOW, signature)).to.equal(false);
    expect(await verifier.verifySignature(teeId, INPUT_HASH, OUTPUT_HASH, NOW - 1n, signature)).to.equal(false);
  });

  it("verifySignature_ofAnUnknownEnclave_isFalse", async () => {
    expect(await verify(NOW, world.signed(NOW), OTHER)).to.equal(false);
    expect(await verify(NOW, world.signed(NOW), ethers.ZeroHash)).to.equal(false);
  });

  it("verifySignature_ofAnotherEnclave_isFalse", async () => {
    const other = rsaKey(2048);
    await world.put(other.spki);
    await world.mineAt(NOW + 10n);
    const signature = signPss(other, messageOf(NOW));
    expect(await verify(NOW, signature, ethers.keccak256(other.spki))).to.equal(true);
    expect(await verify(NOW, signature)).to.equal(false);
    expect(await verify(NOW, world.signed(NOW), ethers.keccak256(other.spki))).to.equal(false);
  });

  it("verifySignature_ofLargerKeys_isTrue", async () => {
    for (const bits of [3072, 4096]) {
      const other = rsaKey(bits);
      await world.put(other.spki);
      expect(await verify(NOW, signPss(other, messageOf(NOW)), ethers.keccak256(other.spki))).to.equal(true);
    }
  });

  it("verifySignature_otherSchemesAndDigests_areFalse", async () => {
    const { key } = world;
    for (const signature of [
      signPss(key, sha256(messageOf(NOW))),
      signPss(key, messageOf(NOW), 20),
      sign("sha256", messageOf(NOW), key.privateKey),
      world.signed(NOW).subarray(1),
      Buffer.alloc(0),
      Buffer.alloc(256),
      key.modulus,
    ]) {
      expect(await verify(NOW, signature)).to.equal(false);
    }
  });

  it("verifySignature_ofAKeyItCannotRead_isFalse", async () => {
    const ed25519 = Buffer.from("302a300506032b6570032100" + "11".repeat(32), "hex");
    await world.put(ed25519);
    expect(await verify(NOW, world.signed(NOW), ethers.keccak256(ed25519))).to.equal(false);
    expect(await verify(NOW, Buffer.alloc(0), ethers.keccak256(ed25519))).to.equal(false);
  });
});
