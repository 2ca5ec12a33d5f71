import { expect } from "chai";
import { MaxUint256 } from "ethers";

import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import { OPG_WEI, startX402Stage } from "./x402Stage.ts";
import type { Route, X402Stage } from "./x402Stage.ts";

const PERMIT2 = { assetTransferMethod: "permit2" };

describe("x402's own packages on a local chain: exact and upto", function () {
  this.timeout(60_000);
  let stage: X402Stage;

  before(async () => {
    stage = await startX402Stage();
    await (await stage.opg.connect(stage.payer).approve(x402Addresses.permit2, MaxUint256)).wait();
  });

  after(() => stage.close());

  /** Requests once. @returns what the receiver got. */
  const pay = async (route: Route): Promise<bigint> => {
    const before = await stage.opg.balanceOf(stage.receiver);
    const response = await stage.request(route);
    expect(await response.text(), JSON.stringify(stage.settlements.at(-1))).to.equal("paid for");
    return (await stage.opg.balanceOf(stage.receiver)) - before;
  };

  it("exact_byErc3009_pays", async () => {
    expect(await pay({ scheme: "exact", amount: OPG_WEI })).to.equal(OPG_WEI);
  });

  it("exact_byPermit2_pays", async () => {
    expect(await pay({ scheme: "exact", amount: OPG_WEI, extra: PERMIT2 })).to.equal(OPG_WEI);
    expect(stage.lastPayment().payload).to.have.property("permit2Authorization");
  });

  it("upto_chargesWhatWasUsed", async () => {
    expect(await pay({ scheme: "upto", amount: OPG_WEI, charge: 5n, extra: PERMIT2 })).to.equal(5n);
    expect(await pay({ scheme: "upto", amount: OPG_WEI, charge: OPG_WEI, extra: PERMIT2 })).to.equal(OPG_WEI);
  });

  for (const route of [
    { scheme: "exact", amount: 3n },
    { scheme: "exact", amount: 3n, extra: PERMIT2 },
    { scheme: "upto", amount: 3n, extra: PERMIT2 },
  ] satisfies Route[]) {
    it(`settle_${route.scheme}${route.extra ? "ByPermit2" : "ByErc3009"}Again_isRefused`, async () => {
      await pay(route);
      const payment = stage.lastPayment();
      const before = await stage.opg.balanceOf(stage.receiver);
      expect((await stage.rail.verify(payment, payment.accepted)).isValid).to.equal(false);
      expect((await stage.rail.settle(payment, payment.accepted)).success).to.equal(false);
      expect(await stage.opg.balanceOf(stage.receiver)).to.equal(before);
    });
  }

  it("verify_permit2WithoutAllowance_saysSo", async () => {
    const opg = stage.opg.connect(stage.payer);
    await (await opg.approve(x402Addresses.permit2, 0)).wait();
    const response = await stage.request({ scheme: "upto", amount: 3n, extra: PERMIT2 });
    expect(response.status).to.be.oneOf([402, 412]);
    const payment = stage.lastPayment();
    const { isValid, invalidReason } = await stage.rail.verify(payment, payment.accepted);
    expect({ isValid, invalidReason }).to.deep.equal({ isValid: false, invalidReason: "permit2_allowance_required" });
    await (await opg.approve(x402Addresses.permit2, MaxUint256)).wait();
  });
});
