import { expect } from "chai";
import type { JobView } from "../../../../simulator/facilitator/http/jobViews.ts";
import { Operators } from "../../../../simulator/facilitator/http/Operators.ts";
import { eventually } from "../../gateway/gatewayFixture.ts";
import { FacilitatorMetrics } from "../../../../simulator/facilitator/http/FacilitatorMetrics.ts";
import { samplesOf } from "../../http/samplesOf.ts";
import { OpenApiChecker, type OpenApiDocument } from "../../http/openApiDocument.ts";
import { rawHttp, rawPost } from "../../http/rawHttp.ts";
import { DataFixture, OPERATOR, OTHER, PRICE } from "./dataFixture.ts";

describe("FacilitatorServer", function () {
  this.timeout(120_000);
  let fixture: DataFixture;
  let checker: OpenApiChecker;
  let document: OpenApiDocument;

  before(async () => {
    fixture = await DataFixture.start();
    document = (await (await fetch(`${fixture.server.url}/openapi.json`)).json()) as OpenApiDocument;
    checker = new OpenApiChecker(document);
  });

  after(() => fixture.stop());

  describe("settle", () => {
    it("asynchronously_answersAJobThatIsChargedOnce", async () => {
      const payment = await fixture.payment();
      const before = await fixture.chain.opg.balanceOf(fixture.payTo);
      const settle = (): Promise<Response> =>
        fixture.post("/settle", fixture.envelope(payment), { headers: { prefer: "wait=1, respond-async" } });
      const responses = await Promise.all([settle(), settle(), settle()]);
      const jobs = await Promise.all(
        responses.map(async (response) => {
          expect(response.status).to.equal(202);
          expect(response.headers.get("preference-applied")).to.equal("respond-async");
          const body = (await response.json()) as { paymentJob: JobView };
          checker.expectAnswer("post /settle", 202, body);
          expect(response.headers.get("location")).to.equal(`/settle/${body.paymentJob.jobId}`);
          return body.paymentJob;
        }),
      );
      expect(new Set(jobs.map(({ jobId }) => jobId)).size).to.equal(1);
      let job: JobView | undefined;
      await eventually(async () => {
        const { body } = await fixture.get(`/settle/${jobs[0]!.jobId}`);
        checker.expectAnswer("get /settle/{jobId}", 200, body);
        job = body as unknown as JobView;
        return job.status === "succeeded";
      }, "charged");
      expect(job!.queue).to.equal("x402-settle-payment-queue");
      expect(job!.result).to.include({ success: true, transaction: job!.txHash, amount: PRICE.toString() });
      expect((await fixture.chain.provider.getTransactionReceipt(job!.txHash!))?.status).to.equal(1);
      expect((await fixture.chain.opg.balanceOf(fixture.payTo)) - before).to.equal(PRICE);
    });

    it("asynchronously_invalidPayment_isRefusedAndNeverCharged", async () => {
      const payment = await fixture.payment();
      const forged = {
        ...payment.payload,
        payload: { ...payment.payload.payload, signature: `0x${"22".repeat(64)}1b` },
      };
      const response = await fixture.post("/settle", fixture.envelope({ ...payment, payload: forged }), {
        headers: { prefer: "respond-async" },
      });
      expect(response.status).to.equal(200);
      const body = (await response.json()) as object;
      checker.expectAnswer("post /settle", 200, body);
      expect(body).to.include({ success: false });
      expect(await fixture.facilitator.job(payment.payload, payment.requirements)).to.equal(undefined);
    });

    it("byDefault_waitsForTheChain", async () => {
      const response = await fixture.post("/settle", fixture.envelope(await fixture.payment()));
      const body = (await response.json()) as { success: boolean; transaction: string };
      checker.expectAnswer("post /settle", 200, body);
      expect(body.success).to.equal(true);
      expect((await fixture.chain.provider.getTransactionReceipt(body.transaction))?.status).to.equal(1);
    });

    it("jobsThatDoNotExist_areNotFound", async () => {
      const never = await fixture.payment();
      const key = Buffer.from(`eip155:31337/${fixture.chain.asset}/${"0x00"}/${never.header.slice(0, 10)}`).toString(
        "base64url",
      );
      for (const id of [`payment-${key}`, "payment-", "payment-%00", "data-0", "constructor", "__proto__"]) {
        const { status, body } = await fixture.get(`/settle/${id}`);
        expect(status, id).to.equal(404);
        expect(body).to.include({ error: "unknown_job" });
      }
    });
  });

  describe("usage", () => {
    it("paymentsAndReports_areCountedOncePerOperator", async () => {
      const today = new Date().toISOString().slice(0, 10);
      const usage = async (token = OPERATOR.token): Promise<Record<string, unknown> | undefined> => {
        const { status, body } = await fixture.get("/usage?days=1", token);
        expect(status).to.equal(200);
        checker.expectAnswer("get /usage", 200, body);
        return (body["usage"] as Record<string, unknown>[]).find(({ day }) => day === today);
      };
      const before = (await usage())!;
      const made = await fixture.payment();
      const body = { ...fixture.envelope(made), usageMetadata: { inputTokens: 12, outputTokens: 30, model: "m" } };
      for (let i = 0; i < 3; i++) expect((await fixture.post("/settle", body)).status).to.equal(200);
      const report = { "payment-signature": made.header, "x-settlement-type": "private" };
      expect((await fixture.report(await fixture.statement(), report)).status).to.equal(202);
      expect(await usage()).to.deep.equal({
        day: today,
        payments: Number(before["payments"]) + 1,
        chargedWei: (BigInt(before["chargedWei"] as string) + PRICE).toString(),
        inputTokens: 12,
        outputTokens: 30,
        settlements: { private: 1, batch: 0, individual: 0 },
      });
      expect(await usage(OTHER.token)).to.equal(undefined);
    });

    it("days_areBounded", async () => {
      for (const days of ["0", "-1", "367", "1e2", "x", ""]) {
        expect((await fixture.get(`/usage?days=${days}`)).status, days).to.equal(400);
      }
      expect((await fixture.get("/usage")).body).to.include({ days: 30 });
    });
  });

  describe("operators", () => {
    it("token_isAskedForEverywhereButForWhatIsPublic", async () => {
      for (const path of ["/supported", "/health", "/metrics", "/openapi.json"]) {
        expect((await fetch(fixture.server.url + path)).status, path).to.equal(200);
      }
      for (const path of ["/verify", "/settle", "/settle_data", "/heartbeat", "/no/such"]) {
        const response = await fixture.post(path, {}, { token: "" });
        expect(response.status, path).to.equal(401);
        expect(await response.json()).to.include({ error: "unauthorized" });
      }
      for (const path of ["/usage", "/settle/payment-x"])
        expect((await fixture.get(path, "")).status, path).to.equal(401);
    });

    it("oddSpellingsOfOpenRoutes_openNothing", async () => {
      const targets = [
        "/settle?x=/health",
        "//health/../settle",
        "/health/../settle",
        "/%73ettle",
        "/settle/",
        "/SETTLE",
      ];
      for (const target of targets) {
        const { status } = await rawHttp(fixture.server.url, rawPost(target, "{}"));
        expect([400, 401, 404], target).to.include(status);
      }
    });

    it("find_takesTheWholeTokenOnly", () => {
      const operators = new Operators([OPERATOR, OTHER]);
      expect(operators.find(`Bearer ${OTHER.token}`)).to.equal(OTHER);
      expect(operators.find(`bearer  ${OPERATOR.token}`)).to.equal(OPERATOR);
      const header = `Bearer ${OPERATOR.token}`;
      for (const wrong of [
        undefined,
        "",
        "Bearer ",
        OPERATOR.token,
        `Basic ${OPERATOR.token}`,
        `${header}x`,
        `${header} x`,
        header.slice(0, -1),
      ]) {
        expect(operators.find(wrong), wrong).to.equal(undefined);
      }
    });

    it("sharedToken_isRefusedAtOnce", () => {
      expect(() => new Operators([OPERATOR, { ...OTHER, token: OPERATOR.token }])).to.throw(RangeError);
    });

    it("guessing_isSlowedDown", async () => {
      await fixture.close();
      await fixture.open({}, { limits: { refusalsPerMinute: 3 } });
      const guess = (i: number): Promise<Response> => fixture.post("/settle", {}, { token: `guess-${i}` });
      for (let i = 0; i < 3; i++) expect((await guess(i)).status).to.equal(401);
      const over = await guess(4);
      expect(over.status).to.equal(429);
      expect(Number(over.headers.get("retry-after"))).to.be.within(1, 60);
      // who knows a token is not held up by who does not
      expect((await fixture.post("/settle", {})).status).to.equal(400);
    });
  });

  it("openApi_isValidAndHasEveryRoute", () => {
    checker.expectValid();
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    );
    expect(operations).to.include.members([
      "post /verify",
      "post /settle",
      "get /settle/{jobId}",
      "post /settle_data",
      "post /heartbeat",
      "get /usage",
      "get /metrics",
    ]);
  });

  it("metrics_tellTheQueueAndWhatWasSettled", async () => {
    await fixture.paid();
    const samples = samplesOf(await (await fetch(`${fixture.server.url}/metrics`)).text());
    expect(samples.get(`facilitator_settlements_total{scheme="exact",outcome="settled"}`)).to.be.at.least(1);
    expect(samples.get(`facilitator_payments{status="pending"}`)).to.equal(0);
    expect(samples.get(`facilitator_payments{status="dead"}`)).to.equal(0);
    expect(samples.get("facilitator_queue_jobs")).to.equal(0);
    expect(samples.get("facilitator_queue_oldest_age_seconds")).to.equal(0);
    expect(samples.get("facilitator_dead_letters")).to.equal(0);
    expect(
      samples.get(`facilitator_http_requests_total{method="POST",route="/settle",status="200",scheme="none"}`),
    ).to.be.at.least(1);
  });

  it("metrics_ofAQueueThatDoesNotMove_tellSinceWhen", async () => {
    const metrics = new FacilitatorMetrics();
    let looks = 0;
    metrics.showBacklog(() => {
      looks++;
      return Promise.resolve({ open: 3, oldestAtMs: Date.now() - 90_000, deadLetters: 2 });
    });
    const samples = samplesOf(await metrics.registry.metrics());
    expect(samples.get("facilitator_queue_jobs")).to.equal(3);
    expect(samples.get("facilitator_queue_oldest_age_seconds")).to.be.within(90, 120);
    expect(samples.get("facilitator_dead_letters")).to.equal(2);
    expect(looks, "all of it is one look").to.equal(1);
  });

  it("bodyTooLarge_isRefused", async () => {
    const response = await fixture.post("/verify", { x: "a".repeat(2 << 20) });
    expect(response.status).to.equal(413);
  });
});
