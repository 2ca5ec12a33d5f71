import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentPayload } from "@x402/core/types";
import { PERMIT2_ADDRESS } from "@x402/evm";
import { expect } from "chai";
import { MaxUint256 } from "ethers";
import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import type { Gateway } from "../../../../simulator/gateway/Gateway.ts";
import { chat, errorCode, eventually, FEE, GatewayFixture, post } from "../gatewayFixture.ts";
import { stockClient } from "./uptoClient.ts";

describe("Gateway: exact by Permit2", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;

  before(async () => {
    fixture = await GatewayFixture.start();
    gateway = await fixture.openGateway();
    await (await fixture.chain.opg.connect(fixture.payer).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
  });

  after(() => fixture.stop());

  /** Pays as a client does whose policy is Permit2. */
  const pay = (
    body: object,
    change?: (payload: PaymentPayload) => PaymentPayload,
    payer = fixture.payer,
  ): Promise<string> =>
    fixture.pay(gateway, body, {
      client: stockClient(fixture.chain, payer, ["exact"]).registerPolicy((_version, all) =>
        all.filter(({ extra }) => extra?.assetTransferMethod === "permit2"),
      ),
      ...(change && { change }),
    });

  it("post_paidRequest_isChargedOnceAndBuysOneAnswer", async () => {
    const before = await fixture.received();
    const body = chat("by permit");
    const payment = await pay(body);
    const count = fixture.node.inferences;
    const texts = await Promise.all(
      Array.from({ length: 10 }, async () => (await post(gateway, body, { payment })).text()),
    );
    expect(new Set(texts).size).to.equal(1);
    expect(texts[0]).to.contain('"opengradient"');
    expect(fixture.node.inferences - count).to.equal(1);
    await eventually(async () => (await fixture.received()) - before === FEE, "one fee");
    await fixture.settled(gateway);
    expect(await errorCode(await post(gateway, chat("another"), { payment }))).to.equal("payment_already_used");
    const again = await post(gateway, body, { payment });
    const { transaction } = decodePaymentResponseHeader(again.headers.get("payment-response") ?? "");
    expect((await fixture.chain.provider.getTransactionReceipt(transaction))?.status).to.equal(1);
  });

  it("post_beforeAnswer_isOnChainWhenItIsAnswered", async () => {
    const careful = await fixture.openGateway({ timing: "before-answer" });
    const before = await fixture.received();
    const body = chat("cash first");
    const payment = await pay(body);
    expect((await post(careful, body, { payment })).status).to.equal(200);
    expect((await fixture.received()) - before).to.equal(FEE);
  });

  it("post_otherTokenThanAccepted_isRefused", async () => {
    const body = chat("x");
    const payment = await pay(body, (payload) => ({
      ...payload,
      accepted: { ...payload.accepted, asset: `0x${"98".repeat(20)}` },
    }));
    expect(await errorCode(await post(gateway, body, { payment }))).to.equal("permit2_token_mismatch");
  });

  it("post_erc3009TermsWithAPermit_isRefused", async () => {
    const body = chat("x");
    const payment = await pay(body, (payload) => {
      const extra = { ...payload.accepted.extra };
      delete extra.assetTransferMethod;
      return { ...payload, accepted: { ...payload.accepted, extra } };
    });
    const response = await post(gateway, body, { payment });
    expect(response.status).to.equal(402);
    expect(await errorCode(response)).to.equal("no_matching_requirements");
  });

  it("start_kindThatTheChainHasNoContractsFor_isAnErrorOnlyWhenAskedFor", async () => {
    const { provider } = fixture.chain;
    const code = await provider.getCode(x402Addresses.uptoPermit2Proxy);
    await provider.send("hardhat_setCode", [x402Addresses.uptoPermit2Proxy, "0x"]);
    try {
      const modest = await fixture.openGateway();
      const header = (await post(modest, chat("x"))).headers.get("payment-required") ?? "";
      expect(decodePaymentRequiredHeader(header).accepts.map(({ scheme }) => scheme)).to.deep.equal(["exact", "exact"]);
      const failed = await fixture
        .newGateway({ methods: ["exact/eip3009", "upto/permit2"] })
        .start()
        .catch((error: unknown) => error);
      expect(failed).to.have.property("code", "x402_contracts_missing");
    } finally {
      await provider.send("hardhat_setCode", [x402Addresses.uptoPermit2Proxy, code]);
    }
  });
});
