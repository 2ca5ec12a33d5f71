import { expect } from "chai";
import { CertificateChain } from "../../../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../../../simulator/enclave/Enclave.ts";
import { enclaveRoutes } from "../../../../simulator/enclave/enclaveRoutes.ts";
import { testRoot } from "../../../../simulator/enclave/testRoot.ts";
import type { Gateway } from "../../../../simulator/gateway/Gateway.ts";
import { listRoutes, OpenApiChecker, type OpenApiDocument } from "../../http/openApiDocument.ts";
import { CHAT, chat, GatewayFixture, post } from "../gatewayFixture.ts";

describe("Gateway /openapi.json", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;
  let document: OpenApiDocument;
  let checker: OpenApiChecker;
  const served = new Set<string>();

  before(async () => {
    fixture = await GatewayFixture.start();
    const register = (): Buffer => Buffer.alloc(48, 1);
    const enclave = await Enclave.start({
      authorities: new CertificateChain(testRoot()),
      measurements: { pcr0: register(), pcr1: register(), pcr2: register() },
    });
    gateway = await fixture.openGateway({ plugins: [enclaveRoutes(enclave), listRoutes(served)] });
    const response = await fetch(`${gateway.url}/openapi.json`);
    expect(response.headers.get("content-type")).to.match(/^application\/json/);
    document = (await response.json()) as OpenApiDocument;
    checker = new OpenApiChecker(document);
  });

  after(() => fixture.stop());

  it("document_isValidOpenApi31", () => checker.expectValid());

  it("document_hasEveryRouteThatIsServed", () => {
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).flatMap(([method, { operationId }]) => (operationId ? [`${method} ${path}`] : [])),
    );
    expect(served.size).to.be.greaterThan(8);
    expect(described).to.have.members([...served]);
  });

  it("paidRoutes_tellThePaymentsHeaders", () => {
    for (const path of [CHAT, "/v1/completions", "/v1/inference", "/v1/ohttp"]) {
      const { parameters = [], responses } = document.paths[path]!["post"]!;
      expect(parameters.map(({ name }) => name)).to.include("PAYMENT-SIGNATURE");
      expect(responses["402"]!.headers).to.have.property("PAYMENT-REQUIRED");
      expect(responses["200"]!.headers).to.include.keys(
        "PAYMENT-RESPONSE",
        "x-inference-receipt",
        "x-processing-hash",
        "x-settlement-tx-hash",
        "x-settlement-walrus-blob-id",
      );
    }
  });

  describe("answers have the shapes it gives them", () => {
    it("paymentRequired", async () => {
      const response = await post(gateway, chat("hello"));
      expect(response.status).to.equal(402);
      checker.expectAnswer(`post ${CHAT}`, 402, await response.json());
    });

    it("chatCompletion", async () => {
      const payment = await fixture.pay(gateway, chat("hello"));
      const response = await post(gateway, chat("hello"), { payment });
      expect(response.status).to.equal(200);
      checker.expectAnswer(`post ${CHAT}`, 200, await response.json());
    });

    it("textCompletion", async () => {
      const body = { model: "test/echo", prompt: "hello" };
      const route = "/v1/completions";
      const payment = await fixture.pay(gateway, body, { route });
      const response = await post(gateway, body, { route, payment });
      expect(response.status).to.equal(200);
      checker.expectAnswer(`post ${route}`, 200, await response.json());
    });

    it("errors", async () => {
      const missing = await post(gateway, { ...chat("hello"), model: "no/such" });
      expect(missing.status).to.equal(404);
      checker.expectAnswer(`post ${CHAT}`, 404, await missing.json());
      const malformed = await post(gateway, "{");
      expect(malformed.status).to.equal(400);
      checker.expectAnswer(`post ${CHAT}`, 400, await malformed.json());
    });

    it("modelsAndHealth", async () => {
      for (const path of ["/v1/models", "/health"]) {
        checker.expectAnswer(`get ${path}`, 200, await (await fetch(gateway.url + path)).json());
      }
    });

    it("aShapeThatDoesNotFit_isNoticed", () => {
      expect(() => checker.expectAnswer(`post ${CHAT}`, 402, { error: { message: "no accepts" } })).to.throw();
    });
  });
});
