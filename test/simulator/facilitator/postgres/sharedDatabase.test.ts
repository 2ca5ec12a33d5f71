import { expect } from "chai";
import { parseEther } from "ethers";
import { pino } from "pino";
import { Facilitator } from "../../../../simulator/facilitator/Facilitator.ts";
import { PostgresPaymentStore } from "../../../../simulator/facilitator/postgres/PostgresPaymentStore.ts";
import { crashFacilitators } from "../../../support/facilitatorCrashes.ts";
import { eventually } from "../../gateway/gatewayFixture.ts";
import { startLocalChain, type LocalChain } from "../localChain.ts";
import { requirementsFor, stockPayment } from "../payments.ts";
import { approvePermit2, permitRequirements, stockPermit } from "../permits.ts";
import { openPaymentStore } from "./postgresStoreModule.ts";
import { newSchema, withPostgres } from "./withPostgres.ts";

const logger = pino({ level: "silent" });

describe("facilitators that share a PostgreSQL database", function () {
  this.timeout(240_000);
  const postgres = withPostgres();

  describe("alive", () => {
    let chain: LocalChain;
    let facilitators: Facilitator[];

    before(async () => {
      chain = await startLocalChain();
      const schema = newSchema();
      facilitators = await Promise.all(
        [8, 9].map(
          async (account) =>
            new Facilitator({
              chain,
              signer: chain.account(account),
              outboxFile: await PostgresPaymentStore.open({ url: postgres().url, schema, logger }),
              logger,
              // who is told nothing does not look for a long time
              settler: { minRetryMs: 10, pollMs: 600_000, concurrency: 4 },
            }),
        ),
      );
      await Promise.all(facilitators.map((facilitator) => facilitator.start()));
      await chain.opg.transfer(chain.account(1).address, parseEther("1000"));
      await approvePermit2(chain, chain.account(1));
    });

    after(async () => {
      await Promise.all(facilitators.map((facilitator) => facilitator.stop()));
      await chain.stop();
    });

    it("paymentsHandedToBoth_areChargedOnce", async () => {
      const payee = chain.account(5).address;
      const payments = await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const requirements = requirementsFor(chain, payee, 1_000n + BigInt(i));
          return { requirements, payload: await stockPayment(chain, chain.account(1), requirements) };
        }),
      );
      // both are given every one, as by gateways that ask again
      const jobs = await Promise.all(
        payments.flatMap(({ payload, requirements }) =>
          facilitators.map((facilitator) => facilitator.enqueue(payload, requirements)),
        ),
      );
      expect(new Set(jobs.map(({ key }) => key)).size).to.equal(40);
      const [store] = facilitators.map((facilitator) => facilitator.store);
      await eventually(async () => (await store!.counts()).settled === 40, "all settled", 60_000);
      const expected = payments.reduce((sum, { requirements }) => sum + BigInt(requirements.amount), 0n);
      expect(await chain.opg.balanceOf(payee)).to.equal(expected);
    });

    it("paymentOnlyTheOtherCanSettle_reachesItByItsQueue", async () => {
      const [one, other] = [facilitators[0]!, chain.account(9).address];
      const requirements = permitRequirements(chain, chain.account(6).address, 5_000n, other);
      const payload = await stockPermit(chain, chain.account(1), requirements);
      const { key } = await one.enqueue(payload, requirements, { amountWei: 3_000n });
      await eventually(async () => (await one.store.find(key))?.status === "settled", "settled by the other", 30_000);
      const { transaction } = (await one.store.find(key))!;
      const sent = await chain.provider.getTransaction(transaction!.hash);
      expect(sent!.from).to.equal(other);
      expect(await chain.opg.balanceOf(requirements.payTo)).to.equal(3_000n);
    });
  });

  for (const [facilitators, kills] of [
    [1, 5],
    [2, 6],
  ] as const) {
    it(`kill9_${facilitators}Facilitators${kills}Times_everyPaymentIsChargedExactlyOnce`, async () => {
      const settings = { url: postgres().url, schema: newSchema() };
      const interrupted = await crashFacilitators({
        storeModule: new URL("./postgresStoreModule.ts", import.meta.url).href,
        storeSettings: settings,
        open: () => openPaymentStore(settings),
        facilitators,
        kills,
        payments: 60,
        seed: 20_261_121,
      });
      expect(interrupted, "payments under way at a kill").to.be.greaterThan(0);
    });
  }

  it("serverRestarted_goesOn", async () => {
    const store = await PostgresPaymentStore.open({ url: postgres().url, schema: newSchema(), logger });
    try {
      await postgres().query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()");
      await eventually(
        () =>
          store.counts().then(
            () => true,
            () => false,
          ),
        "connected again",
      );
    } finally {
      await store.close();
    }
  });
});
