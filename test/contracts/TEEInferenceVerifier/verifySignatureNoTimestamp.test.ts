import { expect } from "chai";
import { ethers } from "ethers";

import { deployVerifier, INPUT_HASH, LIVE_FROM, LIVE_UNTIL, OUTPUT_HASH, type VerifierWorld } from "./world.ts";

describe("TEEInferenceVerifier.verifySignatureNoTimestamp", () => {
  let world: VerifierWorld;
  beforeEach(async () => {
    world = await deployVerifier();
    await world.mineAt(LIVE_UNTIL + 1_000_000n);
  });

  const verify = (timestamp: bigint, signature: Uint8Array, teeId = world.teeId) =>
    world.verifier.verifySignatureNoTimestamp(teeId, INPUT_HASH, OUTPUT_HASH, timestamp, signature);

  it("verifySignatureNoTimestamp_longAfterTheEnclavesEnd_isTrue", async () => {
    for (const timestamp of [LIVE_FROM, LIVE_UNTIL - 1n]) {
      expect(await verify(timestamp, world.signed(timestamp))).to.equal(true);
      expect(
        await world.verifier.verifySignature(world.teeId, INPUT_HASH, OUTPUT_HASH, timestamp, world.signed(timestamp)),
      ).to.equal(false);
    }
  });

  it("verifySignatureNoTimestamp_backdatedOrAfterTheEnd_isFalse", async () => {
    for (const timestamp of [0n, LIVE_FROM - 1n, LIVE_UNTIL, LIVE_UNTIL + 1_000_000n, ethers.MaxUint256]) {
      expect(await verify(timestamp, world.signed(timestamp)), `${timestamp}`).to.equal(false);
    }
  });

  it("verifySignatureNoTimestamp_redatedIntoTheEnclavesTime_isFalse", async () => {
    expect(await verify(LIVE_UNTIL - 1n, world.signed(LIVE_UNTIL))).to.equal(false);
  });

  it("verifySignatureNoTimestamp_ofAnUnknownEnclave_isFalse", async () => {
    expect(await verify(LIVE_FROM, world.signed(LIVE_FROM), ethers.id("unknown"))).to.equal(false);
  });
});
