import { expect } from "chai";
import { declareEip2612GasSponsoringExtension, declareErc20ApprovalGasSponsoringExtension } from "@x402/extensions";

import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import { OPG_WEI, startX402Stage } from "./x402Stage.ts";
import type { Route, X402Stage } from "./x402Stage.ts";

const extra = { assetTransferMethod: "permit2" };
const ROUTES: readonly Route[] = [
  { scheme: "exact", amount: OPG_WEI, extra },
  { scheme: "upto", amount: OPG_WEI, charge: 7n, extra },
  { scheme: "batch-settlement", amount: OPG_WEI, charge: 7n, extra },
];

const EXTENSIONS = {
  eip2612GasSponsoring: declareEip2612GasSponsoringExtension(),
  erc20ApprovalGasSponsoring: declareErc20ApprovalGasSponsoringExtension(),
};

for (const [name, extensions] of Object.entries(EXTENSIONS)) {
  describe(`x402's own packages on a local chain: payers without ether, by ${name}`, function () {
    this.timeout(60_000);
    let stage: X402Stage;
    let poor: unknown;

    before(async () => {
      stage = await startX402Stage();
      await stage.rpc("hardhat_setBalance", stage.payer.address, "0x0");
      poor = await stage.rpc("evm_snapshot");
    });

    afterEach(async () => {
      await stage.rpc("evm_revert", poor);
      poor = await stage.rpc("evm_snapshot");
    });

    after(() => stage.close());

    for (const route of ROUTES) {
      it(`${route.scheme}_permit2NotApprovedBefore_pays`, async () => {
        const response = await stage.request({ ...route, extensions });
        expect(await response.text(), JSON.stringify(stage.settlements.at(-1))).to.equal("paid for");
        expect(stage.lastPayment().extensions).to.have.nested.property(`${name}.info.spender`, x402Addresses.permit2);
        expect(await stage.opg.balanceOf(stage.payer)).to.be.lessThan(1_000n * OPG_WEI);
      });
    }
  });
}
