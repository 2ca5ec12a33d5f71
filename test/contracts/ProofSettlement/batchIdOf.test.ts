import { expect } from "chai";
import { TypedDataEncoder } from "ethers";

import { BATCH_TYPES } from "../../../simulator/receipts/eip712.ts";
import { buildBatch, freshWorld } from "../../support/batches.ts";
import { domainOf } from "../../support/protocol.ts";

describe("ProofSettlement.batchIdOf and domainSeparator", () => {
  it("batchIdOf_anyHeader_isEthersDigestAndTheSimulators", async () => {
    const world = await freshWorld();
    const { header } = await buildBatch(world);
    const digest = TypedDataEncoder.hash(await domainOf(world.settlement), BATCH_TYPES, header);
    expect(await world.settlement.batchIdOf(header)).to.equal(digest);
    expect(world.hasher.batchDigest(header)).to.equal(digest);
  });

  it("batchIdOf_largestValues_isEthersDigest", async () => {
    const world = await freshWorld();
    const word = `0x${"ff".repeat(32)}` as const;
    const header = {
      root: word,
      blobId: word,
      operator: `0x${"ff".repeat(20)}` as const,
      count: 2 ** 32 - 1,
      setId: 2 ** 32 - 1,
      fees: 2n ** 96n - 1n,
      servedFrom: 2n ** 64n - 1n,
      servedTo: 2n ** 64n - 1n,
      seen: 2 ** 40 - 1,
      royaltiesHash: word,
    };
    const digest = TypedDataEncoder.hash(await domainOf(world.settlement), BATCH_TYPES, header);
    expect(await world.settlement.batchIdOf(header)).to.equal(digest);
  });

  it("batchIdOf_anyFieldChanged_changesTheId", async () => {
    const world = await freshWorld();
    const { header, id } = await buildBatch(world);
    const other = `0x${"12".repeat(32)}` as const;
    for (const change of [
      { root: other },
      { blobId: other },
      { operator: world.payer },
      { count: 5 },
      { setId: 2 },
      { fees: header.fees + 1n },
      { servedFrom: header.servedFrom - 1n },
      { servedTo: header.servedTo + 1n },
      { seen: 1 },
      { royaltiesHash: other },
    ]) {
      expect(await world.settlement.batchIdOf({ ...header, ...change }), Object.keys(change)[0]).to.not.equal(id);
    }
  });

  it("batchIdOf_dirtyUpperBits_reverts", async () => {
    const world = await freshWorld();
    const { settlement, operator, connection } = world;
    const { header } = await buildBatch(world);
    const data = settlement.interface.encodeFunctionData("batchIdOf", [header]);
    // words: root, blobId, operator, count, setId, fees, servedFrom, servedTo, seen, royaltiesHash
    for (const word of [2, 3, 4, 5, 6, 7, 8]) {
      const at = 2 + 8 + word * 64;
      const dirty = `${data.slice(0, at)}01${data.slice(at + 2)}`;
      await expect(operator.call({ to: settlement, data: dirty }), `word ${word}`).to.be.revert(connection.ethers);
    }
  });

  it("domainSeparator_isEthersHashAndTheSimulators", async () => {
    const world = await freshWorld();
    const expected = TypedDataEncoder.hashDomain(await domainOf(world.settlement));
    expect(await world.settlement.domainSeparator()).to.equal(expected);
    expect(world.hasher.domainSeparator).to.equal(expected);
  });
});
