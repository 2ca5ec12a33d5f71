import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { expect } from "chai";
import { parseEther } from "ethers";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import type { PaymentJob } from "../../../simulator/facilitator/PaymentStore.ts";
import { SqlitePaymentStore } from "../../../simulator/facilitator/SqlitePaymentStore.ts";
import { FacilitatorWorld, finished, jobUntil } from "./facilitatorWorld.ts";
import { withProvider } from "./localChain.ts";
import { requirementsFor, stockPayment } from "./payments.ts";
import { permitRequirements, stockPermit } from "./permits.ts";
import { logger } from "./silentLogger.ts";

const PRICE = parseEther("0.25");
const PAYER = 1;

describe("several facilitators", () => {
  let world: FacilitatorWorld;
  let exact: PaymentRequirements;
  let permit: PaymentRequirements;

  before(async () => {
    world = await FacilitatorWorld.start([PAYER]);
    exact = requirementsFor(world.chain, world.address(5), PRICE);
    permit = permitRequirements(world.chain, world.address(5), PRICE);
  });

  after(() => world.stop());

  const received = (): Promise<bigint> => world.balanceOf(world.address(5));
  const pay = (terms: PaymentRequirements): Promise<PaymentPayload> =>
    (terms === exact ? stockPayment : stockPermit)(world.chain, world.chain.account(PAYER), terms);

  for (const scheme of ["exact", "permit"] as const) {
    it(`settle_same${scheme}InTwoWithStoresOfTheirOwn_chargesOnce`, async () => {
      const [first, second] = [await world.open({ account: 9 }), await world.open({ account: 8 })];
      const terms = scheme === "exact" ? exact : permit;
      const payloads = await Promise.all(Array.from({ length: 5 }, () => pay(terms)));
      const before = await received();
      await Promise.all(
        payloads.flatMap((payload) => [first, second].map((facilitator) => facilitator.settle(payload, terms))),
      );
      const jobs = await Promise.all(
        payloads.flatMap((payload) =>
          [first, second].map(async (facilitator) => finished(facilitator, await facilitator.enqueue(payload, terms))),
        ),
      );
      for (const job of jobs) expect(job.status).to.equal("settled");
      expect((await received()) - before).to.equal(5n * PRICE);
      await world.close(first);
      await world.close(second);
    });
  }

  describe("with one store", () => {
    const open = (file: string, account: number): Promise<Facilitator> =>
      world.open({ account, outboxFile: new SqlitePaymentStore(file), settler: { leaseMs: 300 } });

    it("enqueue_inOne_isAnnouncedByBoth", async () => {
      const file = world.newFile();
      const [first, second] = [await open(file, 9), await open(file, 8)];
      const terms = permitRequirements(world.chain, world.address(5), PRICE, world.chain.account(9).address);
      const payload = await stockPermit(world.chain, world.chain.account(PAYER), terms);
      const told = Promise.withResolvers<PaymentJob>();
      second.onOutcome(told.resolve);
      const before = await received();
      // only the first can settle it
      await second.enqueue(payload, terms, { amountWei: 5n });
      expect(await told.promise).to.include({ status: "settled", amountWei: 5n });
      expect((await received()) - before).to.equal(5n);
      await world.close(first);
      await world.close(second);
    });

    for (const dies of ["before", "after"] as const) {
      it(`enqueue_workerDies${dies}Broadcasting_anotherSettlesItOnce`, async () => {
        const file = world.newFile();
        const hung = new Promise<never>(() => undefined);
        const dying = new Facilitator({
          chain: withProvider(world.chain, {
            send: (method, parameters) =>
              dies === "before" && method === "eth_sendRawTransaction"
                ? hung
                : world.chain.provider.send(method, parameters as unknown[]),
            ...(dies === "after" && { getTransactionReceipt: () => hung }),
          }),
          signer: world.chain.account(7),
          outboxFile: new SqlitePaymentStore(file),
          logger,
          settler: { leaseMs: 300 },
        });
        await dying.start();
        const before = await received();
        const job = await dying.enqueue(await pay(exact), exact);
        await jobUntil(dying, job.key, ({ status }) => status === "submitted");
        // its timers would go on renewing; a dead process renews nothing
        await dying.store.close();
        const next = await open(file, 6);
        expect((await finished(next, job)).status).to.equal("settled");
        expect((await received()) - before).to.equal(PRICE);
        await world.close(next);
      });
    }
  });
});
