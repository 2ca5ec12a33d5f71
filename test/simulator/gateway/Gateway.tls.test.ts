import { decodePaymentRequiredHeader } from "@x402/core/http";
import { expect } from "chai";
import type { FastifyPluginCallback } from "fastify";
import { createPinnedFetch, type PinnedFetch } from "../../../simulator/client/pinnedFetch.ts";
import type { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { wrapFetchWithPayment } from "@x402/fetch";
import { testCertificate, type TestCertificate } from "../../support/tlsCertificates.ts";
import { stockX402Client } from "../facilitator/payments.ts";
import { CHAT, chat, GatewayFixture } from "./gatewayFixture.ts";

describe("Gateway over TLS", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;
  let identity: TestCertificate;
  let pinned: PinnedFetch;
  const signingKey: FastifyPluginCallback = (app, _options, done) => {
    app.get("/signing-key", () => ({ key: "0x04" }));
    done();
  };

  before(async () => {
    fixture = await GatewayFixture.start();
    identity = await testCertificate();
    gateway = await fixture.openGateway({ tls: identity, plugins: [signingKey] });
    pinned = createPinnedFetch({ endpoint: gateway.url, certificate: identity.der });
  });

  after(async () => {
    await pinned.close();
    await fixture.stop();
  });

  const ask = (paying: typeof fetch): Promise<Response> =>
    paying(gateway.url + CHAT, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(chat("over TLS")),
    });

  it("url_isHttps", () => {
    expect(gateway.url).to.match(/^https:\/\/127\.0\.0\.1:[0-9]+$/);
  });

  it("unpaidRequest_isAskedToPayForTheHttpsUrl", async () => {
    const unpaid = await ask(pinned.fetch);
    expect(unpaid.status).to.equal(402);
    const required = decodePaymentRequiredHeader(unpaid.headers.get("payment-required") ?? "");
    expect(required.resource.url).to.equal(gateway.url + CHAT);
  });

  it("paidRequest_isAnswered", async () => {
    const paying = wrapFetchWithPayment(pinned.fetch, stockX402Client(fixture.chain, fixture.payer));
    const response = await ask(paying);
    expect(response.status).to.equal(200);
    expect(await response.text()).to.contain("over TLS");
  });

  it("plainHttp_isNotAnswered", async () => {
    const plain = gateway.url.replace("https:", "http:");
    const outcome = await fetch(`${plain}/health`).then(
      ({ status }) => status,
      () => "refused",
    );
    expect(outcome).to.not.equal(200);
  });

  it("plugins_bringRoutes_besideTheGatewaysOwn", async () => {
    expect(await (await pinned.fetch(`${gateway.url}/signing-key`)).json()).to.deep.equal({ key: "0x04" });
    expect((await pinned.fetch(`${gateway.url}/health`)).status).to.equal(200);
    expect((await pinned.fetch(`${gateway.url}/none`)).status).to.equal(404);
  });
});
