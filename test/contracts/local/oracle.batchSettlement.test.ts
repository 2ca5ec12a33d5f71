import { expect } from "chai";
import { MaxUint256 } from "ethers";

import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { LocalBatchSettlement__factory } from "../../../typechain-types/index.ts";
import type { LocalBatchSettlement } from "../../../typechain-types/index.ts";
import { OPG_WEI, startX402Stage } from "./x402Stage.ts";
import type { Route, X402Stage } from "./x402Stage.ts";

for (const transfer of ["eip3009", "permit2"] as const) {
  describe(`x402's own packages on a local chain: batch-settlement, deposits by ${transfer}`, function () {
    this.timeout(60_000);
    let stage: X402Stage;
    let batch: LocalBatchSettlement;
    const route: Route = {
      scheme: "batch-settlement",
      amount: OPG_WEI,
      charge: 7n,
      extra: { assetTransferMethod: transfer },
    };

    before(async () => {
      stage = await startX402Stage();
      await (await stage.opg.connect(stage.payer).approve(x402Addresses.permit2, MaxUint256)).wait();
      batch = LocalBatchSettlement__factory.connect(x402Addresses.batchSettlement, stage.payer);
    });

    after(() => stage.close());

    const pay = async (offer = route) => {
      const response = await stage.request(offer);
      expect(await response.text(), JSON.stringify(stage.settlements.at(-1))).to.equal("paid for");
    };
    const manager = () =>
      stage.batchServer.createChannelManager(stage.rail, stage.network, stage.lastPayment().accepted.asset as Hex);
    const config = () => stage.batchClient.buildChannelConfig(stage.lastPayment().accepted);

    it("deposit_once_paysForManyRequestsWithoutATransaction", async () => {
      await pay();
      expect(stage.settlements).to.have.length(1);
      const block = await stage.rpc("eth_blockNumber");
      for (let i = 0; i < 4; i++) await pay();
      expect(await stage.rpc("eth_blockNumber")).to.equal(block);
      const { balance, totalClaimed } = await batch.channels(await batch.getChannelId(config()));
      expect({ balance, totalClaimed }).to.deep.equal({ balance: 10n * OPG_WEI, totalClaimed: 0n });
    });

    it("claimAndSettle_paysTheReceiverWhatWasUsed", async () => {
      const before = await stage.opg.balanceOf(stage.receiver);
      const { claims, settle } = await manager().claimAndSettle();
      expect(claims.map(({ vouchers }) => vouchers)).to.deep.equal([1]);
      expect(settle?.transaction).to.match(/^0x/);
      expect((await stage.opg.balanceOf(stage.receiver)) - before).to.equal(35n);
    });

    it("deposit_whenTheChannelRunsOut_topsUp", async () => {
      for (let i = 0; i < 2; i++) await pay({ ...route, amount: 8n * OPG_WEI, charge: 8n * OPG_WEI });
      const { balance } = await batch.channels(await batch.getChannelId(config()));
      expect(balance).to.be.greaterThan(10n * OPG_WEI);
    });

    it("refund_givesBackWhatIsNotUsed_andClaimsTheRest", async () => {
      const id = await batch.getChannelId(config());
      const { balance } = await batch.channels(id);
      const used = 35n + 16n * OPG_WEI;
      const before = await stage.opg.balanceOf(stage.payer);
      const response = await stage.batchClient.refund("http://shop.test/paid", { fetch: stage.shopFor(route) });
      expect(response.success, JSON.stringify(response)).to.equal(true);
      expect((await stage.opg.balanceOf(stage.payer)) - before).to.equal(balance - used);
      expect((await batch.channels(id)).totalClaimed).to.equal(used);
      expect(await batch.refundNonce(id)).to.equal(1n);
    });

    it("withdraw_afterTheDelay_needsNobody", async () => {
      await pay();
      const id = await batch.getChannelId(config());
      const { balance, totalClaimed } = await batch.channels(id);
      const before = await stage.opg.balanceOf(stage.payer);
      await (await batch.initiateWithdraw(config(), balance - totalClaimed)).wait();
      await stage.rpc("evm_increaseTime", config().withdrawDelay);
      await (await batch.finalizeWithdraw(config())).wait();
      expect((await stage.opg.balanceOf(stage.payer)) - before).to.equal(balance - totalClaimed);
    });
  });
}
