import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { expect } from "chai";
import { parseEther, Signature } from "ethers";
import { pino } from "pino";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import type { PaymentJob } from "../../../simulator/facilitator/PaymentStore.ts";
import type { PaymentSettlerOptions } from "../../../simulator/facilitator/settlerOptions.ts";
import type { Chain } from "../../../simulator/chain/connectChain.ts";
import { holdBlocks, startLocalChain, withProvider, type LocalChain } from "./localChain.ts";
import { craftedPayment, requirementsFor, stockPayment } from "./payments.ts";

const PRICE = parseEther("0.25");
const never = <T>(): Promise<T> => new Promise(() => undefined);

/** An RPC method that never answers stands for a process that died there. */
const hangs = (method: string) => (chain: LocalChain) =>
  withProvider(chain, {
    send: (called, parameters) => (called === method ? never() : chain.provider.send(called, parameters as unknown[])),
    ...(method === "eth_getTransactionReceipt" && { getTransactionReceipt: never }),
  });

/** Signed and recorded; the network has not got the transaction. */
const diesBeforeBroadcast = hangs("eth_sendRawTransaction");
/** The network has the transaction; its outcome was not seen. */
const diesAfterBroadcast = hangs("eth_getTransactionReceipt");

describe("PaymentSettler", () => {
  let chain: LocalChain;
  let directory: string;
  let requirements: PaymentRequirements;
  let files = 0;
  const running: Facilitator[] = [];

  before(async () => {
    chain = await startLocalChain();
    directory = mkdtempSync(join(tmpdir(), "settler-"));
    await chain.opg.transfer(chain.account(1).address, parseEther("1000"));
    requirements = requirementsFor(chain, chain.account(5).address, PRICE);
  });

  after(async () => {
    await Promise.all(running.map((each) => each.stop()));
    await chain.stop();
    rmSync(directory, { recursive: true });
  });

  const newFile = (): string => join(directory, `outbox-${files++}.db`);

  async function open(
    outboxFile: string,
    settler: Partial<PaymentSettlerOptions> = {},
    view?: (chain: LocalChain) => Chain,
  ): Promise<Facilitator> {
    const facilitator = new Facilitator({
      chain: view?.(chain) ?? chain,
      signer: chain.account(9),
      outboxFile,
      logger: pino({ level: "silent" }),
      settler: { minRetryMs: 5, maxRetryMs: 50, ...settler },
    });
    await facilitator.start();
    // an instance that died is dropped without a stop
    if (view === undefined) running.push(facilitator);
    return facilitator;
  }

  const payment = (): Promise<PaymentPayload> => stockPayment(chain, chain.account(1), requirements);
  const received = (): Promise<bigint> => chain.opg.balanceOf(requirements.payTo);

  /** Waits until the stored job satisfies `condition`. */
  async function until(
    facilitator: Facilitator,
    key: string,
    condition: (job: PaymentJob) => boolean,
  ): Promise<PaymentJob> {
    const deadline = Date.now() + 5_000;
    for (;;) {
      const job = (await facilitator.store.find(key))!;
      if (condition(job)) return job;
      if (Date.now() > deadline) throw new Error(`Still ${job.status} (${job.reason ?? "no reason"}) after 5 s`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** ethers' own wait misses a transaction that is mined just before it begins to listen for blocks. */
  async function mined(hash: string): Promise<void> {
    const deadline = Date.now() + 5_000;
    while ((await chain.provider.getTransactionReceipt(hash)) === null) {
      if (Date.now() > deadline) throw new Error(`${hash} is not mined after 5 s`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  const finished = (facilitator: Facilitator, { key }: PaymentJob): Promise<PaymentJob> =>
    until(facilitator, key, ({ status }) => status === "settled" || status === "dead");

  /** Submits the authorization from another account, as anybody may who has seen it. */
  async function submitByStranger(payload: PaymentPayload): Promise<string> {
    const { authorization, signature } = payload.payload as {
      signature: string;
      authorization: Record<"from" | "to" | "value" | "validAfter" | "validBefore" | "nonce", string>;
    };
    const { v, r, s } = Signature.from(signature);
    const { from, to, value, validAfter, validBefore, nonce } = authorization;
    const sent = await chain.opg
      .connect(chain.account(8))
      .transferWithAuthorization(from, to, value, validAfter, validBefore, nonce, v, r, s);
    await sent.wait();
    return sent.hash;
  }

  it("enqueue_verifiedPayment_settlesAndFreesTheExposure", async () => {
    const facilitator = await open(newFile());
    const release = await holdBlocks(chain);
    const payer = chain.account(1).address.toLowerCase() as `0x${string}`;
    const jobs = await Promise.all(
      [await payment(), await payment()].map((each) => facilitator.enqueue(each, requirements)),
    );
    expect(await facilitator.outstandingWei(payer)).to.equal(2n * PRICE);
    const before = await received();
    await Promise.all(jobs.map(({ key }) => until(facilitator, key, ({ status }) => status === "submitted")));
    await release();
    for (const job of jobs) expect((await finished(facilitator, job)).status).to.equal("settled");
    expect(await facilitator.outstandingWei(payer)).to.equal(0n);
    expect((await received()) - before).to.equal(2n * PRICE);
  });

  it("restart_signedButNotSent_sendsTheRecordedTransaction", async () => {
    const file = newFile();
    const dying = await open(file, {}, diesBeforeBroadcast);
    const job = await dying.enqueue(await payment(), requirements);
    const recorded = await until(dying, job.key, ({ status }) => status === "submitted");
    const before = await received();
    const next = await open(file);
    const settled = await finished(next, job);
    expect(settled.transaction?.hash).to.equal(recorded.transaction?.hash);
    expect((await received()) - before).to.equal(PRICE);
  });

  it("restart_minedButNotRecorded_findsItAndSendsNothing", async () => {
    const file = newFile();
    const dying = await open(file, {}, diesAfterBroadcast);
    const before = await received();
    const job = await dying.enqueue(await payment(), requirements);
    const { transaction } = await until(dying, job.key, ({ status }) => status === "submitted");
    await mined(transaction!.hash);
    const sent = await chain.provider.getTransactionCount(chain.account(9).address);
    const settled = await finished(await open(file), job);
    expect(settled).to.deep.include({ status: "settled" });
    expect(settled.transaction?.hash).to.equal(transaction!.hash);
    expect((await received()) - before).to.equal(PRICE);
    expect(await chain.provider.getTransactionCount(chain.account(9).address)).to.equal(sent);
  });

  it("restart_recordedButAccountNumberTaken_sendsAnew", async () => {
    const file = newFile();
    const dying = await open(file, {}, diesBeforeBroadcast);
    const before = await received();
    const job = await dying.enqueue(await payment(), requirements);
    const lost = await until(dying, job.key, ({ status }) => status === "submitted");
    // somebody else uses the account in between
    await (await chain.account(9).sendTransaction({ to: chain.account(9).address })).wait();
    const settled = await finished(await open(file), job);
    expect(settled.status).to.equal("settled");
    expect(settled.transaction?.hash).to.not.equal(lost.transaction?.hash);
    expect((await received()) - before).to.equal(PRICE);
  });

  it("attempt_submittedByAStranger_countsAsSettled", async () => {
    const facilitator = await open(newFile());
    const payload = await payment();
    const hash = await submitByStranger(payload);
    const before = await received();
    const settled = await finished(facilitator, await facilitator.enqueue(payload, requirements));
    expect(settled).to.deep.include({ status: "settled" });
    expect(settled.transaction?.hash).to.equal(hash);
    expect(await received()).to.equal(before);
  });

  it("attempt_nonceSpentOnAnotherRecipient_diesAsDefault", async () => {
    const facilitator = await open(newFile());
    const payer = chain.account(1);
    const nonce = `0x${"ab".repeat(32)}`;
    const elsewhere = requirementsFor(chain, chain.account(6).address, PRICE);
    await submitByStranger(await craftedPayment(chain, payer, elsewhere, { nonce }));
    const job = await facilitator.enqueue(await craftedPayment(chain, payer, requirements, { nonce }), requirements);
    expect(await finished(facilitator, job)).to.include({ status: "dead", reason: "nonce_spent_elsewhere" });
    expect(await facilitator.outstandingWei(payer.address as `0x${string}`)).to.equal(0n);
    expect(await facilitator.defaultedWei(payer.address as `0x${string}`)).to.equal(PRICE);
  });

  it("attempt_canceledByThePayer_dies", async () => {
    const facilitator = await open(newFile());
    const payer = chain.account(1);
    const payload = await payment();
    const { nonce } = (payload.payload as { authorization: { nonce: string } }).authorization;
    const signature = await payer.signTypedData(
      { name: "OpenGradient", version: "1", chainId: chain.chainId, verifyingContract: chain.asset },
      {
        CancelAuthorization: [
          { name: "authorizer", type: "address" },
          { name: "nonce", type: "bytes32" },
        ],
      },
      { authorizer: payer.address, nonce },
    );
    const { v, r, s } = Signature.from(signature);
    await (await chain.opg.cancelAuthorization(payer.address, nonce, v, r, s)).wait();
    const job = await facilitator.enqueue(payload, requirements);
    expect(await finished(facilitator, job)).to.include({ status: "dead", reason: "authorization_canceled" });
  });

  it("attempt_expired_dies", async () => {
    const facilitator = await open(newFile(), { expiryMarginMs: 0 });
    const past = BigInt(Math.floor(Date.now() / 1000)) - 1n;
    const payload = await craftedPayment(chain, chain.account(1), requirements, { validBefore: past });
    const job = await facilitator.enqueue(payload, requirements);
    expect(await finished(facilitator, job)).to.include({ status: "dead", reason: "authorization_expired" });
  });

  it("attempt_payerRefillsInTime_isChargedThen", async () => {
    const facilitator = await open(newFile());
    const payer = chain.account(3);
    const job = await facilitator.enqueue(await stockPayment(chain, payer, requirements), requirements);
    await until(facilitator, job.key, ({ attempts }) => attempts >= 2);
    expect(await facilitator.outstandingWei(payer.address as `0x${string}`)).to.equal(PRICE);
    await (await chain.opg.transfer(payer.address, PRICE)).wait();
    expect((await finished(facilitator, job)).status).to.equal("settled");
  });

  it("attempt_minedLaterThanItWaited_isFoundSettled", async () => {
    const facilitator = await open(newFile(), { confirmationTimeoutMs: 50 });
    const release = await holdBlocks(chain);
    const before = await received();
    const job = await facilitator.enqueue(await payment(), requirements);
    await until(facilitator, job.key, ({ status, attempts }) => status === "submitted" && attempts >= 2);
    await release();
    expect((await finished(facilitator, job)).status).to.equal("settled");
    expect((await received()) - before).to.equal(PRICE);
  });

  for (const repeated of ["answer", "refuse"] as const) {
    it(`settle_chainDoesNotMine_isPendingAndThenFoundSettled (${repeated})`, async () => {
      const facilitator = await open(newFile(), { confirmationTimeoutMs: 100 });
      const release = await holdBlocks(chain);
      const payload = await payment();
      const pending = await facilitator.settle(payload, requirements, { repeated });
      expect(pending).to.include({ success: false, errorReason: "settlement_pending" });
      expect(pending.transaction).to.match(/^0x[0-9a-f]{64}$/);
      await release();
      const settled = await facilitator.settle(payload, requirements, { repeated });
      expect(settled).to.include({ success: true, transaction: pending.transaction });
      const again = await facilitator.settle(payload, requirements, { repeated });
      expect(again.success, "told already").to.equal(repeated === "answer");
    });
  }

  it("settle_nothingSentInTime_isGivenUpAndNeverSentLater", async () => {
    const asked = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const slow = (whole: LocalChain): Chain =>
      withProvider(whole, {
        estimateGas: async (transaction) => {
          asked.resolve();
          await held.promise;
          return chain.provider.estimateGas(transaction);
        },
      });
    const facilitator = await open(newFile(), { confirmationTimeoutMs: 100 }, slow);
    running.push(facilitator);
    const before = await received();
    const payload = await payment();
    const settling = facilitator.settle(payload, requirements);
    await asked.promise;
    expect(await settling).to.include({ success: false, errorReason: "settlement_timeout", transaction: "" });
    held.resolve();
    const job = (await facilitator.job(payload, requirements))!;
    await facilitator.stop();
    running.pop();
    expect(await received()).to.equal(before);
    expect(job.status).to.equal("dead");
  });

  it("enqueue_sameNonceOtherTerms_isRefused", async () => {
    const facilitator = await open(newFile());
    const nonce = `0x${"cd".repeat(32)}`;
    const payer = chain.account(1);
    await facilitator.enqueue(await craftedPayment(chain, payer, requirements, { nonce }), requirements);
    const dearer = requirementsFor(chain, requirements.payTo, PRICE * 2n);
    const second = facilitator.enqueue(await craftedPayment(chain, payer, dearer, { nonce }), dearer);
    const error: unknown = await second.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.include({ code: "payment_conflict" });
  });
});
