import { createHash } from "node:crypto";

import { expect } from "chai";
import { network } from "hardhat";

import { Sha384__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import { Random } from "../../support/p384.ts";

/** Gas per block of 128 bytes, calldata not counted. */
const GAS_PER_BLOCK = 28_300n;

async function deploySha384() {
  const connection = await network.create();
  const [signer] = await connection.ethers.getSigners();
  return { connection, signer: signer!, sha384: await new Sha384__factory(signer!).deploy() };
}

describe("Sha384: hash", () => {
  const state = freshState(deploySha384);

  async function expectDigest(message: Uint8Array) {
    const [high, low] = await state().sha384.hash(message);
    const found = high.toString(16).padStart(32, "0") + low.toString(16).padStart(64, "0");
    expect(found, `${message.length} bytes`).to.equal(createHash("sha384").update(message).digest("hex"));
  }

  it("hash_everyLengthUpTo300_isOpenSSLs", async () => {
    const random = new Random("lengths");
    for (let length = 0; length <= 300; length++) await expectDigest(random.bytes(length));
  });

  it("hash_lengthsAroundPaddingEdgesOfLongerMessages_isOpenSSLs", async () => {
    const random = new Random("edges");
    for (const blocks of [3, 8, 31, 32, 33, 64])
      for (const offset of [-17, -16, -15, -1, 0, 1]) await expectDigest(random.bytes(128 * blocks + offset));
  });

  it("hash_longMessages_isOpenSSLs", async () => {
    const random = new Random("long");
    for (const length of [4_460, 16_384, 40_000]) await expectDigest(random.bytes(length));
  });

  it("hash_bitsAllZeroOrAllOne_isOpenSSLs", async () => {
    for (const length of [1, 47, 48, 111, 112, 128, 240, 1_000])
      for (const byte of [0x00, 0x80, 0x7f, 0xff]) await expectDigest(new Uint8Array(length).fill(byte));
  });

  it("hash_unalignedCalldata_readsTheMessageAlone", async () => {
    // the ABI allows a message anywhere, and bytes after it that are not zero
    const { sha384, connection } = state();
    const message = new Random("unaligned").bytes(150);
    const selector = sha384.interface.getFunction("hash").selector;
    const word = (value: number) => value.toString(16).padStart(64, "0");
    const data = `${selector}${word(0x23)}ffffff${word(150)}${Buffer.from(message).toString("hex")}${"ff".repeat(77)}`;
    const result = await connection.ethers.provider.call({ to: await sha384.getAddress(), data });
    const [high, low] = sha384.interface.decodeFunctionResult("hash", result) as unknown as [bigint, bigint];
    const found = high.toString(16).padStart(32, "0") + low.toString(16).padStart(64, "0");
    expect(found).to.equal(createHash("sha384").update(message).digest("hex"));
  });

  it("hash_perBlock_staysWithinItsGas", async () => {
    const { sha384, signer } = state();
    const gasOf = async (length: number) => {
      const data = sha384.interface.encodeFunctionData("hash", [new Uint8Array(length).fill(1)]);
      return (await (await signer.sendTransaction({ to: sha384, data })).wait())!.gasUsed;
    };
    const calldata = 128n * 16n;
    const perBlock = ((await gasOf(128 * 40)) - (await gasOf(128 * 8))) / 32n - calldata;
    expect(perBlock).to.be.lessThanOrEqual(GAS_PER_BLOCK);
  });
});
