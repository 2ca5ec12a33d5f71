import { expect } from "chai";
import { ZeroAddress } from "ethers";
import { pino } from "pino";
import type { SettlementDomain } from "../../../../simulator/receipts/types.ts";
import { chat, errorCode, GatewayFixture, post } from "../gatewayFixture.ts";

interface Free {
  opengradient: { receipt: { fee: string; payer: string; requestId: string; signature: string } };
}

describe("Gateway without payments", () => {
  let fixture: GatewayFixture;

  before(async () => {
    fixture = await GatewayFixture.start();
  });

  after(() => fixture.stop());

  it("constructor_publicChain_isRefusedUnlessInsistedOn", () => {
    const domain: SettlementDomain = { chainId: 8453n, verifyingContract: `0x${"5e".repeat(20)}` };
    expect(() => fixture.newGateway({ payment: "none", domain })).to.throw(RangeError, "development chain");
    expect(() => fixture.newGateway({ payment: "none-anywhere", domain })).to.not.throw();
  });

  it("constructor_nothingToBePaid_warns", () => {
    const lines: string[] = [];
    const logger = pino({ level: "warn" }, { write: (line: string) => lines.push(line) });
    fixture.newGateway({ payment: "none", logger });
    expect(lines.join("\n")).to.contain("NOTHING HAS TO BE PAID");
  });

  for (const stream of [false, true]) {
    it(`post_unpaid${stream ? "Stream" : ""}_isAnsweredWithAReceiptOfNoFeeByNobody`, async () => {
      const gateway = await fixture.openGateway({ payment: "none" });
      const ids = new Set<string>();
      for (let i = 0; i < 2; i++) {
        const response = await post(gateway, chat("for free", { stream }));
        expect(response.status).to.equal(200);
        expect(response.headers.get("payment-response")).to.equal(null);
        const text = await response.text();
        const receipt = /"receipt":(\{[^}]*\})/.exec(text)?.[1] ?? "{}";
        const { fee, payer, requestId } = JSON.parse(receipt) as Free["opengradient"]["receipt"];
        expect({ fee, payer }).to.deep.equal({ fee: "0", payer: ZeroAddress });
        ids.add(requestId);
      }
      // the same request again is another one
      expect(ids.size).to.equal(2);
      expect(gateway.store.outstandingWei()).to.equal(0n);
      expect(gateway.store.counts()).to.include({ answered: 0, settling: 0, paid: 2 });
    });
  }

  it("post_failedInference_isToldAsEver", async () => {
    const gateway = await fixture.openGateway({ payment: "none" });
    fixture.node.script = () => Promise.reject(new Error("out of memory"));
    const response = await post(gateway, chat("fails"));
    expect(response.status).to.equal(502);
    fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  it("post_settlementTypes_arePassedOnOrRefused", async () => {
    const gateway = await fixture.openGateway({ payment: "none" });
    for (const [headers, status] of [
      [{ "x-settlement-type": "individual" }, 200],
      [{ "x-settle": "SETTLE_BATCH" }, 200],
      [{ "x-settlement-type": "whatever" }, 400],
    ] as const) {
      const response = await post(gateway, chat("x"), { headers });
      expect(response.status).to.equal(status);
      if (status === 400) expect(await errorCode(response)).to.equal("invalid_settlement_type");
    }
  });
});
