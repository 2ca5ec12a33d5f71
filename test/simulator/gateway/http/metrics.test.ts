import { expect } from "chai";
import { pino } from "pino";
import type { Gateway } from "../../../../simulator/gateway/Gateway.ts";
import { GatewayMetrics } from "../../../../simulator/gateway/http/GatewayMetrics.ts";
import { OpgPrice } from "../../../../simulator/pricing/OpgPrice.ts";
import { samplesOf } from "../../http/samplesOf.ts";
import { CHAT, chat, eventually, FEE, GatewayFixture, post } from "../gatewayFixture.ts";

describe("Gateway /metrics", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;

  before(async () => {
    fixture = await GatewayFixture.start();
    gateway = await fixture.openGateway();
  });

  after(() => fixture.stop());

  async function scrape(of = gateway): Promise<Map<string, number>> {
    const response = await fetch(`${of.url}/metrics`);
    expect(response.headers.get("content-type")).to.match(/^text\/plain; version=0\.0\.4/);
    return samplesOf(await response.text());
  }

  it("payment_isCountedFromRequestToSettlement", async () => {
    const payment = await fixture.pay(gateway, chat("count me"));
    expect((await post(gateway, chat("count me"), { payment })).status).to.equal(200);
    await fixture.settled(gateway);
    await eventually(
      async () => (await scrape()).has(`gateway_payments_total{scheme="exact",outcome="settled"}`),
      "settled",
    );
    const samples = await scrape();
    const requests = (status: number, scheme: string): number | undefined =>
      samples.get(`gateway_http_requests_total{method="POST",route="${CHAT}",status="${status}",scheme="${scheme}"}`);
    expect(requests(402, "none")).to.equal(1);
    expect(requests(200, "exact")).to.equal(1);
    expect(samples.get(`gateway_http_request_duration_seconds_count{route="${CHAT}"}`)).to.equal(2);
    expect(samples.get(`gateway_payments_total{scheme="exact",outcome="accepted"}`)).to.equal(1);
    expect(samples.get(`gateway_payments_refused_total{reason="payment_required"}`)).to.equal(1);
    expect(samples.get(`gateway_charged_wei_total{scheme="exact"}`)).to.equal(Number(FEE));
    expect(samples.get("gateway_outstanding_wei")).to.equal(0);
    expect(samples.get(`gateway_requests{status="paid"}`)).to.equal(1);
  });

  it("inferenceUnderWay_showsWithWhatIsOwed", async () => {
    let end = (): void => undefined;
    fixture.node.script = () => new Promise<void>((resolve) => (end = resolve));
    const payment = await fixture.pay(gateway, chat("take your time"));
    const answered = post(gateway, chat("take your time"), { payment });
    await eventually(async () => (await scrape()).get("gateway_inferences") === 1, "one under way");
    expect((await scrape()).get("gateway_outstanding_wei")).to.equal(Number(FEE));
    end();
    expect((await answered).status).to.equal(200);
    expect((await scrape()).get("gateway_inferences")).to.equal(0);
  });

  it("requests_haveFewSeriesWhateverClientsSend", async () => {
    const count = async (): Promise<number> => (await scrape()).size;
    await fetch(`${gateway.url}/no/such/0`);
    await post(gateway, chat("x"), { payment: "e30=" });
    const before = await count();
    for (let i = 0; i < 30; i++) {
      await fetch(`${gateway.url}/no/such/${i}`, { method: i % 2 === 0 ? "POST" : "DELETE" });
      await post(gateway, { ...chat("x"), model: `no/such-${i}` });
    }
    // 404 of the chat route is the one new series
    expect((await count()) - before).to.be.at.most(1);
  });

  it("metrics_nameNoPayer", async () => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(text.toLowerCase()).to.not.contain(fixture.payer.address.slice(2).toLowerCase());
  });

  it("twoGateways_countForThemselves", async () => {
    const other = await fixture.openGateway();
    expect((await post(other, chat("x"))).status).to.equal(402);
    expect((await scrape(other)).get(`gateway_payments_refused_total{reason="payment_required"}`)).to.equal(1);
  });

  it("price_showsItsAge_andNoneWhileThereIsNoPrice", async () => {
    const pricedBy = (ageMs: number): OpgPrice => {
      const quote = { picoUsd: 10n ** 10n, observedAtMs: Date.now() - ageMs };
      return new OpgPrice({
        sources: [{ name: "told", read: () => Promise.resolve(quote) }],
        bounds: { minPicoUsd: 1n, maxPicoUsd: 10n ** 12n },
        logger: pino({ level: "silent" }),
        maxAgeMs: 300_000,
      });
    };
    const priced = await fixture.openGateway({ opgPrice: pricedBy(120_000) });
    expect((await scrape(priced)).get("gateway_price_age_seconds")).to.be.within(120, 180);
    const stale = await fixture.openGateway({ opgPrice: pricedBy(400_000) });
    expect((await scrape(stale)).has("gateway_price_age_seconds")).to.equal(false);
    expect((await scrape()).has("gateway_price_age_seconds"), "a gateway without a price source").to.equal(false);
  });

  it("refusalsOfAHostileFacilitator_haveABoundedNumberOfReasons", async () => {
    const metrics = new GatewayMetrics();
    for (let i = 0; i < 1_000; i++) metrics.refused(`reason_${i}`);
    for (const reason of ["with spaces", 'quote"', "a".repeat(1_000), "ünï", ""]) metrics.refused(reason);
    const samples = samplesOf(await metrics.registry.metrics());
    expect(samples.size).to.be.below(80);
    expect(samples.get(`gateway_payments_refused_total{reason="other"}`)).to.equal(945);
  });
});
