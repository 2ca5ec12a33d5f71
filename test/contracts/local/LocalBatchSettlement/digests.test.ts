import { claimBatchTypes, refundTypes, voucherTypes } from "@x402/evm";
import { computeChannelId } from "@x402/evm/batch-settlement/client";
import { expect } from "chai";
import { TypedDataEncoder, id } from "ethers";

import type { Hex } from "../../../../simulator/receipts/types.ts";
import { freshState } from "../../../support/freshState.ts";
import { channelOf, claimOf, deployLocalStage, mutable } from "../localStage.ts";

describe("LocalBatchSettlement: what is signed", () => {
  const state = freshState(deployLocalStage);

  it("getChannelId_isThePackages", async () => {
    const stage = state();
    for (const salt of [id("a"), id("b")]) {
      const config = await channelOf(stage, { salt, withdrawDelay: 2_592_000 });
      expect(await stage.batch.getChannelId(config)).to.equal(
        computeChannelId(config as Parameters<typeof computeChannelId>[0], 31_337),
      );
    }
  });

  it("digests_areThoseOfThePackagesTypes", async () => {
    const stage = state();
    const { batch, batchDomain } = stage;
    const channelId = id("channel") as Hex;
    const hash = (types: object, message: object) => TypedDataEncoder.hash(batchDomain, mutable(types), message);
    const most = 2n ** 128n - 1n;
    expect(await batch.getVoucherDigest(channelId, most)).to.equal(
      hash(voucherTypes, { channelId, maxClaimableAmount: most }),
    );
    expect(await batch.getRefundDigest(channelId, 7n, most)).to.equal(
      hash(refundTypes, { channelId, nonce: 7n, amount: most }),
    );
    const claims = [
      await claimOf(stage, await channelOf(stage), 9n, { totalClaimed: 5n }),
      await claimOf(stage, await channelOf(stage, { salt: id("other") }), most),
    ];
    for (const some of [[], claims.slice(0, 1), claims]) {
      const entries = await Promise.all(
        some.map(async ({ voucher, totalClaimed }) => ({
          channelId: await batch.getChannelId(voucher.channel),
          maxClaimableAmount: voucher.maxClaimableAmount,
          totalClaimed,
        })),
      );
      expect(await batch.getClaimBatchDigest(some)).to.equal(hash(claimBatchTypes, { claims: entries }));
    }
  });

  it("domain_isOfTheAddressWhereTheCodeIs", async () => {
    const { batch, batchDomain } = state();
    const { name, version, chainId, verifyingContract } = await batch.eip712Domain();
    expect({ name, version, chainId: Number(chainId), verifyingContract }).to.deep.equal(batchDomain);
  });
});
