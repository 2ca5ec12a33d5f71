import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { expect } from "chai";
import { parseEther, Wallet } from "ethers";
import type { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { settlementCall } from "../../../simulator/facilitator/settlementCall.ts";
import { parsePayment } from "../../../simulator/facilitator/parsePayment.ts";
import { FacilitatorWorld, finished, jobUntil } from "./facilitatorWorld.ts";
import { holdBlocks } from "./localChain.ts";
import { requirementsFor, stockPayment } from "./payments.ts";

const PRICE = parseEther("0.25");
const PAYER = 1;

describe("many transfers in one transaction", () => {
  let world: FacilitatorWorld;
  let facilitator: Facilitator;
  let requirements: PaymentRequirements;

  before(async () => {
    world = await FacilitatorWorld.start([PAYER]);
    facilitator = await world.open({ settler: { bulkSize: 8, bulkLanes: 1 } });
    requirements = requirementsFor(world.chain, world.address(5), PRICE);
  });

  after(() => world.stop());

  const payment = (payer = world.chain.account(PAYER)): Promise<PaymentPayload> =>
    stockPayment(world.chain, payer, requirements);
  const received = (): Promise<bigint> => world.balanceOf(requirements.payTo);

  it("enqueue_whileAnotherIsUnderWay_goTogether", async () => {
    const payloads = await Promise.all(Array.from({ length: 17 }, () => payment()));
    const before = await received();
    const jobs = await Promise.all(payloads.map((payload) => facilitator.enqueue(payload, requirements)));
    const ended = await Promise.all(jobs.map((job) => finished(facilitator, job)));
    expect(new Set(ended.map(({ status }) => status))).to.deep.equal(new Set(["settled"]));
    expect(new Set(ended.map(({ transaction }) => transaction!.hash)).size).to.be.lessThan(6);
    expect((await received()) - before).to.equal(17n * PRICE);
  });

  it("enqueue_withOneThatFails_leavesTheOthersAlone", async () => {
    const poor = new Wallet(Wallet.createRandom().privateKey);
    const payloads = await Promise.all([payment(), payment(), payment(poor), payment(), payment()]);
    const before = await received();
    const jobs = await Promise.all(payloads.map((payload) => facilitator.enqueue(payload, requirements)));
    const good = jobs.filter((_, index) => index !== 2);
    for (const job of await Promise.all(good.map((each) => finished(facilitator, each)))) {
      expect(job.status).to.equal("settled");
    }
    expect((await received()) - before).to.equal(4n * PRICE);
    const bad = await jobUntil(facilitator, jobs[2]!.key, ({ attempts }) => attempts >= 2);
    expect(bad.status).to.equal("pending");
    await (await world.chain.opg.transfer(poor.address, PRICE)).wait();
    expect((await finished(facilitator, bad)).status).to.equal("settled");
  });

  it("enqueue_oneSubmittedByAStrangerBeforeTheBlock_countsOnce", async () => {
    const payloads = await Promise.all([payment(), payment(), payment(), payment()]);
    const before = await received();
    const release = await holdBlocks(world.chain);
    const { to, data } = settlementCall(parsePayment(payloads[2], requirements));
    const fees = { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 11n };
    const stranger = await world.chain.account(8).sendTransaction({ to, data, gasLimit: 200_000n, ...fees });
    const jobs = await Promise.all(payloads.map((payload) => facilitator.enqueue(payload, requirements)));
    await Promise.all(jobs.map(({ key }) => jobUntil(facilitator, key, ({ status }) => status !== "pending")));
    await release();
    const ended = await Promise.all(jobs.map((job) => finished(facilitator, job)));
    for (const job of ended) expect(job.status).to.equal("settled");
    expect(ended[2]!.transaction!.hash).to.equal(stranger.hash);
    expect((await received()) - before).to.equal(4n * PRICE);
  });
});
