import { expect } from "chai";
import { ethers } from "ethers";

import { deployVerifier, messageOf, type VerifierWorld } from "./world.ts";

describe("TEEInferenceVerifier.computeMessageHash", () => {
  let world: VerifierWorld;
  before(async () => (world = await deployVerifier()));

  it("computeMessageHash_vectorOfOpenGradient_isItsHash", async () => {
    const hash = await world.verifier.computeMessageHash(
      "0x8a394d25bdee5cc0125badfb615b71fcaa59a39487969d677b11e33d612d5dab",
      "0x80bf04f9c339fb4a20ea7cd758f45ef61340e2ab1113c9408010272514554360",
      1_776_774_600,
    );
    expect(hash).to.equal("0xf0f83d5071c88bf2a96f0418e5c53c16bbe5a30a242524054d0e2b14d00faf87");
  });

  it("computeMessageHash_anyFields_isThatOfThePackedFields", async () => {
    for (const timestamp of [0n, 1n, 2n ** 64n, ethers.MaxUint256]) {
      const [input, output] = [ethers.hexlify(ethers.randomBytes(32)), ethers.hexlify(ethers.randomBytes(32))];
      expect(await world.verifier.computeMessageHash(input, output, timestamp)).to.equal(
        ethers.hexlify(messageOf(timestamp, input, output)),
      );
    }
  });

  it("constants_areOpenGradients", async () => {
    expect(await world.verifier.MAX_INFERENCE_AGE()).to.equal(3_600n);
    expect(await world.verifier.FUTURE_TOLERANCE()).to.equal(300n);
    expect(await world.verifier.registry()).to.equal(await world.registry.getAddress());
  });
});
