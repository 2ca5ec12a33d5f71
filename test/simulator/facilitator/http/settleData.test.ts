import { expect } from "chai";
import { Signature } from "ethers";
import { dataBlobSchema } from "../../../../simulator/facilitator/data/dataBlob.ts";
import type { JobView } from "../../../../simulator/facilitator/http/jobViews.ts";
import { blobIdFromBase64Url, type BlobStore } from "../../../../simulator/storage/BlobStore.ts";
import { startEnclave } from "../../client/registeredEnclave.ts";
import { eventually } from "../../gateway/gatewayFixture.ts";
import { DataFixture, OPERATOR, OTHER } from "./dataFixture.ts";

describe("POST /settle_data", function () {
  this.timeout(120_000);
  let fixture: DataFixture;

  before(async () => {
    fixture = await DataFixture.start();
  });

  after(() => fixture.stop());

  /** Opens the facilitator again, as after a crash. */
  async function reopen(...options: Parameters<DataFixture["open"]>): Promise<void> {
    await fixture.close();
    await fixture.open(...options);
  }

  const jobOf = async (response: Response): Promise<JobView> => {
    expect(response.status, await response.clone().text()).to.equal(202);
    return ((await response.json()) as { settlementJob: JobView }).settlementJob;
  };

  async function refusal(response: Response): Promise<{ status: number; error: string }> {
    const { error } = (await response.json()) as { error: string };
    return { status: response.status, error };
  }

  async function finished({ jobId }: JobView): Promise<JobView> {
    let job: JobView | undefined;
    await eventually(
      async () => {
        job = (await fixture.get(`/settle/${jobId}`)).body as unknown as JobView;
        return job.status === "succeeded" || job.status === "failed";
      },
      `${jobId} finished`,
      30_000,
    );
    return job!;
  }

  async function blobOf({ walrusBlobId }: JobView): Promise<ReturnType<typeof dataBlobSchema.parse>> {
    const bytes = await fixture.blobs.get(blobIdFromBase64Url(walrusBlobId!));
    return dataBlobSchema.parse(JSON.parse(Buffer.from(bytes).toString()));
  }

  it("batch_severalAnswers_arePublishedInOneBlob", async () => {
    await reopen({ batchSize: 3 });
    const statements = await Promise.all([0, 1, 2].map(() => fixture.statement()));
    const jobs: JobView[] = [];
    for (const statement of statements) {
      const { header } = await fixture.paid();
      const type = jobs.length === 0 ? {} : { "x-settlement-type": "batch" };
      jobs.push(await jobOf(await fixture.report(statement, { "payment-signature": header, ...type })));
    }
    const done = await Promise.all(jobs.map(finished));
    expect(new Set(done.map(({ walrusBlobId }) => walrusBlobId)).size).to.equal(1);
    const { settlements } = await blobOf(done[0]!);
    expect(settlements.map(({ output_hash: hash }) => hash)).to.have.members(
      statements.map(({ output_hash: hash }) => `0x${hash as string}`),
    );
    // of a batch only hashes are public
    for (const settlement of settlements) expect(settlement).to.not.have.any.keys("input", "output", "eth_address");
    expect(done[0]).to.include({
      status: "succeeded",
      queue: "x402-settle-data-queue-v2",
      settlementType: "batch",
      error: null,
    });
  });

  it("batch_notFull_isPublishedWhenItHasWaitedLongEnough", async () => {
    await reopen({ batchSize: 100, batchMs: 50 });
    const { header } = await fixture.paid();
    const job = await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
    expect((await blobOf(await finished(job))).settlements).to.have.length(1);
  });

  it("individual_answer_isPublishedWithItsContent", async () => {
    await reopen();
    const statement = { ...(await fixture.statement()), timestamp: 1_770_000_000, eth_address: `0x${"AB".repeat(20)}` };
    const { header } = await fixture.paid();
    const headers = { "payment-signature": header, "x-settlement-type": "individual" };
    const done = await finished(await jobOf(await fixture.report(statement, headers)));
    expect(done).to.include({ status: "succeeded", queue: "x402-settle-data-individual-queue-v2" });
    expect((await blobOf(done)).settlements[0]).to.include({
      input: (statement as { input?: string }).input,
      output: (statement as { output?: string }).output,
      eth_address: `0x${"ab".repeat(20)}`,
      timestamp: 1_770_000_000,
    });
  });

  it("individual_longContent_fitsIntoTheBody", async () => {
    const statement = await fixture.statement();
    const { header } = await fixture.paid();
    const headers = { "payment-signature": header, "x-settle": "SETTLE_INDIVIDUAL_WITH_METADATA" };
    const response = await fixture.post("/settle_data", statement, { headers });
    expect((await jobOf(response)).settlementType).to.equal("individual");
  });

  it("private_answer_isRecordedAndNothingPublished", async () => {
    const { header } = await fixture.paid();
    const headers = { "payment-signature": header, "x-settlement-type": "private" };
    const job = await jobOf(await fixture.report(await fixture.statement(), headers));
    expect(job).to.include({ status: "succeeded", walrusBlobId: null, settlementType: "private" });
  });

  it("sameReportAgain_isTheSameJob", async () => {
    const { header } = await fixture.paid();
    const statement = await fixture.statement();
    const responses = await Promise.all(
      Array.from({ length: 5 }, () => fixture.report(statement, { "payment-signature": header })),
    );
    const ids = await Promise.all(responses.map(async (response) => (await jobOf(response)).jobId));
    expect(new Set(ids).size).to.equal(1);
  });

  it("paymentByItsKey_isFound", async () => {
    const { payload, requirements } = await fixture.paid();
    const { key } = (await fixture.facilitator.job(payload, requirements))!;
    await jobOf(await fixture.report(await fixture.statement(), { "x-payment-key": key }));
  });

  describe("attacks", () => {
    it("withoutToken_isRefused", async () => {
      const { header } = await fixture.paid();
      const statement = await fixture.statement();
      for (const token of ["", "wrong", `${OPERATOR.token}x`, OPERATOR.token.slice(0, -1)]) {
        const response = await fixture.report(statement, { "payment-signature": header }, token);
        expect(await refusal(response)).to.deep.equal({ status: 401, error: "unauthorized" });
      }
    });

    it("withoutPayment_isRefused", async () => {
      const response = await fixture.report(await fixture.statement(), {});
      expect(await refusal(response)).to.deep.equal({ status: 402, error: "payment_required" });
    });

    it("paymentNeverSettledHere_isRefused", async () => {
      const { header } = await fixture.payment();
      const response = await fixture.report(await fixture.statement(), { "payment-signature": header });
      expect(await refusal(response)).to.deep.equal({ status: 402, error: "payment_unknown" });
    });

    it("paymentOfTheSameNonceUnderAnotherSignature_isRefused", async () => {
      const { payload } = await fixture.paid();
      const forged = { ...payload, payload: { ...payload.payload, signature: `0x${"22".repeat(64)}1b` } };
      const header = Buffer.from(JSON.stringify(forged)).toString("base64");
      const response = await fixture.report(await fixture.statement(), { "payment-signature": header });
      expect(await refusal(response)).to.deep.equal({ status: 402, error: "payment_unknown" });
    });

    it("paymentThatCannotBeCharged_isRefused", async () => {
      const { payload, requirements, header } = await fixture.payment();
      await (
        await fixture.chain.opg.connect(fixture.chain.account(1)).cancelAuthorization(...(await cancellation(payload)))
      ).wait();
      await fixture.facilitator.enqueue(payload, requirements);
      await eventually(async () => (await fixture.facilitator.job(payload, requirements))?.status === "dead", "dead");
      const response = await fixture.report(await fixture.statement(), { "payment-signature": header });
      expect(await refusal(response)).to.deep.equal({ status: 402, error: "payment_dead" });
    });

    it("secondStatementOnOnePayment_isRefused", async () => {
      const { header } = await fixture.paid();
      await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
      const response = await fixture.report(await fixture.statement(), { "payment-signature": header });
      expect(await refusal(response)).to.deep.equal({ status: 409, error: "payment_already_reported" });
    });

    it("oneStatementOnTwoPayments_isRefused", async () => {
      const statement = await fixture.statement();
      const [first, second] = [await fixture.paid(), await fixture.paid()];
      await jobOf(await fixture.report(statement, { "payment-signature": first.header }));
      const response = await fixture.report(statement, { "payment-signature": second.header });
      expect(await refusal(response)).to.deep.equal({ status: 409, error: "statement_already_reported" });
    });

    it("privateAnswerReportedAgainAsIndividual_staysPrivate", async () => {
      const { header } = await fixture.paid();
      const statement = await fixture.statement();
      const as = (type: string): Promise<Response> =>
        fixture.report(statement, { "payment-signature": header, "x-settlement-type": type });
      const job = await jobOf(await as("private"));
      expect(await refusal(await as("individual"))).to.deep.equal({ status: 409, error: "payment_already_reported" });
      expect((await fixture.get(`/settle/${job.jobId}`)).body).to.include({
        settlementType: "private",
        walrusBlobId: null,
      });
    });

    it("statementOfAnEnclaveThatNobodyRegistered_isRefused", async () => {
      const stranger = await startEnclave({ application: "stranger" });
      const { header } = await fixture.paid();
      const response = await fixture.report(await fixture.statement(stranger), { "payment-signature": header });
      expect(await refusal(response)).to.deep.equal({ status: 403, error: "invalid_tee_signature" });
    });

    it("statementChangedAfterItWasSigned_isRefused", async () => {
      const statement = await fixture.statement();
      const other = await fixture.statement();
      const { header } = await fixture.paid();
      for (const change of [
        { output_hash: other["output_hash"] },
        { input_hash: other["input_hash"] },
        { tee_timestamp: Number(statement["tee_timestamp"]) - 1 },
        { tee_signature: other["tee_signature"] },
        { tee_id: `0x${"00".repeat(32)}` },
      ]) {
        const response = await fixture.report({ ...statement, ...change }, { "payment-signature": header });
        expect(await refusal(response)).to.deep.equal({ status: 403, error: "invalid_tee_signature" });
      }
    });

    it("contentThatTheEnclaveDidNotSign_isRefused", async () => {
      const statement = await fixture.statement();
      const { header } = await fixture.paid();
      const headers = { "payment-signature": header, "x-settlement-type": "individual" };
      for (const change of [{ input: "something else" }, { output: "something else" }]) {
        const response = await fixture.report({ ...statement, ...change }, headers);
        expect(await refusal(response)).to.deep.equal({ status: 400, error: "content_mismatch" });
      }
      const response = await fixture.report({ ...statement, input: undefined }, headers);
      expect(await refusal(response)).to.deep.equal({ status: 400, error: "missing_content" });
    });

    it("malformedData_isRefused", async () => {
      const { header } = await fixture.paid();
      const good = await fixture.statement();
      for (const data of [
        {},
        [],
        { ...good, tee_id: "0x12" },
        { ...good, tee_timestamp: -1 },
        { ...good, tee_signature: "!" },
      ]) {
        const response = await fixture.report(data, { "payment-signature": header });
        expect(response.status, JSON.stringify(data)).to.equal(400);
      }
      const deep = Buffer.from("[".repeat(6_000)).toString("base64");
      const response = await fixture.report({}, { "payment-signature": header, "x-settlement-data": deep });
      expect(await refusal(response)).to.deep.equal({ status: 400, error: "invalid_settlement_data" });
    });

    it("unknownType_isRefused", async () => {
      const { header } = await fixture.paid();
      const headers = { "payment-signature": header, "x-settlement-type": "constructor" };
      const response = await fixture.report(await fixture.statement(), headers);
      expect(await refusal(response)).to.deep.equal({ status: 400, error: "unknown_settlement_type" });
    });

    it("otherOperatorsJob_isNotShown", async () => {
      const { header } = await fixture.paid();
      const job = await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
      expect((await fixture.get(`/settle/${job.jobId}`, OTHER.token)).status).to.equal(404);
    });

    it("paymentToSomebodyElse_isRefusedWhereTheOperatorsPayeesAreKnown", async () => {
      const bound = { ...OTHER, payTo: [`0x${"77".repeat(20)}` as const] };
      await reopen({}, { operators: [OPERATOR, bound] });
      const { header } = await fixture.paid();
      const response = await fixture.report(await fixture.statement(), { "payment-signature": header }, OTHER.token);
      expect(await refusal(response)).to.deep.equal({ status: 403, error: "not_your_payment" });
    });
  });

  describe("failures", () => {
    it("blobStoreAway_isTriedAgain", async () => {
      let failures = 3;
      const flaky: BlobStore = {
        put: (bytes) => (failures-- > 0 ? Promise.reject(new Error("no publisher")) : fixture.blobs.put(bytes)),
        get: (id) => fixture.blobs.get(id),
        has: (id) => fixture.blobs.has(id),
      };
      await reopen({ batchMs: 1 }, {}, flaky);
      const { header } = await fixture.paid();
      const job = await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
      expect(await finished(job)).to.include({ status: "succeeded", error: null });
      expect(failures).to.be.below(0);
    });

    it("blobStoreGoneForGood_failsVisibly", async () => {
      const gone: BlobStore = {
        put: () => Promise.reject(new Error("no publisher")),
        get: (id) => fixture.blobs.get(id),
        has: () => Promise.resolve(false),
      };
      await reopen({ batchMs: 1, maxAttempts: 2 }, {}, gone);
      const { header } = await fixture.paid();
      const job = await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
      expect(await finished(job)).to.include({ status: "failed", error: "no publisher", walrusBlobId: null });
      const metrics = await (await fetch(`${fixture.server.url}/metrics`)).text();
      expect(metrics).to.match(/^facilitator_data_jobs\{status="failed"\} 1$/m);
    });

    it("crashWhilePublishing_publishesAfterTheRestart", async () => {
      let reached = (): void => undefined;
      const publishing = new Promise<void>((resolve) => (reached = resolve));
      const hanging: BlobStore = {
        put: () => {
          reached();
          return new Promise(() => undefined);
        },
        get: (id) => fixture.blobs.get(id),
        has: () => Promise.resolve(false),
      };
      await reopen({ batchMs: 1, leaseMs: 100 }, {}, hanging);
      const { header } = await fixture.paid();
      const job = await jobOf(await fixture.report(await fixture.statement(), { "payment-signature": header }));
      await publishing;
      // what hangs never ends, as in a process that is gone: a second one takes over
      const { server, facilitator, jobs } = fixture;
      // it stops listening, and waits for ever for what hangs
      void server.stop();
      await facilitator.stop();
      await fixture.open({ batchMs: 1 });
      expect(await finished(job)).to.include({ status: "succeeded" });
      await jobs.close();
    });
  });

  /** Signs what takes an authorization back. */
  async function cancellation(payload: {
    payload: Record<string, unknown>;
  }): Promise<[string, string, number, string, string]> {
    const { from, nonce } = payload.payload["authorization"] as { from: string; nonce: string };
    const domain = {
      name: "OpenGradient",
      version: "1",
      chainId: fixture.chain.chainId,
      verifyingContract: fixture.chain.asset,
    };
    const types = {
      CancelAuthorization: [
        { name: "authorizer", type: "address" },
        { name: "nonce", type: "bytes32" },
      ],
    };
    const signature = await fixture.chain.account(1).signTypedData(domain, types, { authorizer: from, nonce });
    const { v, r, s } = Signature.from(signature);
    return [from, nonce, v, r, s];
  }
});
