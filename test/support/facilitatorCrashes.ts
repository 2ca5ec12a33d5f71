import { expect } from "chai";
import { parseEther } from "ethers";
import { pino } from "pino";
import { parsePayment } from "../../simulator/facilitator/parsePayment.ts";
import { EmbeddedChain } from "../../simulator/chain/EmbeddedChain.ts";
import { devAccounts } from "../../simulator/chain/devAccounts.ts";
import type { PaymentStore } from "../../simulator/facilitator/PaymentStore.ts";
import { startLocalChain, type LocalChain } from "../simulator/facilitator/localChain.ts";
import { requirementsFor, stockPayment } from "../simulator/facilitator/payments.ts";
import { approvePermit2, permitRequirements, stockPermit } from "../simulator/facilitator/permits.ts";
import type { OwedPayment } from "./facilitatorProcess.ts";
import { KillableFacilitator } from "./KillableFacilitator.ts";

export interface CrashTest {
  /** URL of a module with `openPaymentStore(storeSettings)`; every facilitator opens its own. */
  storeModule: string;
  storeSettings: unknown;
  /** How many facilitators share the store, each with its account. */
  facilitators: number;
  kills: number;
  payments: number;
  /** Chooses when to kill; the same seed, the same pauses. */
  seed: number;
  /** Opened when all is over, to look. */
  open: () => Promise<PaymentStore>;
}

const silent = pino({ level: "silent" });
const PAYERS = [1, 2, 3];
const SELLER = 5;
const FIRST_FACILITATOR = 9;
/** Often enough for transactions to wait for a block when their sender dies. */
const BLOCK_SECONDS = 0.1;

interface Expected extends OwedPayment {
  key: string;
  payer: number;
}

/**
 * Kills facilitators at any point, many times, while they settle payments of all schemes that charge; then counts the money.
 * @returns how many payments were unfinished when a facilitator died, added up over its deaths.
 */
export async function crashFacilitators(test: CrashTest): Promise<number> {
  const chain = await startLocalChain(new EmbeddedChain({ logger: silent, blockTimeSeconds: BLOCK_SECONDS }));
  const random = seeded(test.seed);
  const accepted = new Set<string>();
  const keys = devAccounts().slice(FIRST_FACILITATOR, FIRST_FACILITATOR + test.facilitators);
  const facilitators = keys.map(({ privateKey: key }) => {
    const { storeModule, storeSettings } = test;
    return new KillableFacilitator({ rpcUrl: chain.url, key, storeModule, storeSettings }, (done) =>
      accepted.add(done),
    );
  });
  try {
    const payments = await prepare(chain, test);
    const before = await balances(chain);
    let interrupted = 0;
    await Promise.all(facilitators.map((each) => each.start()));
    /** Hands over what nobody has taken on yet, as a seller does that was told nothing. */
    const handOver = (limit: number): void => {
      for (const payment of payments.filter(({ key }) => !accepted.has(key)).slice(0, limit)) {
        facilitators[Math.floor(random() * facilitators.length)]!.enqueue(payment);
      }
    };
    for (let kill = 0; kill < test.kills; kill++) {
      handOver(Math.ceil((2 * test.payments) / test.kills));
      await new Promise((resolve) => setTimeout(resolve, 400 * random()));
      const victim = facilitators[Math.floor(random() * facilitators.length)]!;
      await victim.kill();
      interrupted += await unfinished(test);
      await victim.start();
    }
    await until(() => {
      handOver(payments.length);
      return Promise.resolve(accepted.size === payments.length);
    }, "all payments taken on");
    await checkAll(test, payments);
    await checkMoney(chain, payments, before);
    return interrupted;
  } finally {
    await Promise.all(facilitators.map((each) => each.kill()));
    await chain.stop();
  }
}

async function unfinished({ open }: CrashTest): Promise<number> {
  const store = await open();
  const { pending, submitted } = await store.counts();
  await store.close();
  return pending + submitted;
}

async function checkAll({ open }: CrashTest, payments: readonly Expected[]): Promise<void> {
  const store = await open();
  try {
    await until(async () => {
      const { pending, submitted } = await store.counts();
      return pending + submitted === 0;
    }, "all payments settled");
    expect(await store.counts()).to.deep.equal({ pending: 0, submitted: 0, settled: payments.length, dead: 0 });
    for (const job of await store.findMany(payments.map(({ key }) => key))) {
      const { amountWei } = payments.find(({ key }) => key === job.key)!;
      expect(job).to.deep.include({ status: "settled", amountWei: BigInt(amountWei) });
      expect(job.transaction !== undefined, "charged by a transaction").to.equal(job.amountWei > 0n);
    }
  } finally {
    await store.close();
  }
}

async function checkMoney(chain: LocalChain, payments: readonly Expected[], before: bigint[]): Promise<void> {
  const after = await balances(chain);
  for (const [index, payer] of PAYERS.entries()) {
    const owed = payments
      .filter((each) => each.payer === payer)
      .reduce((sum, each) => sum + BigInt(each.amountWei), 0n);
    expect(before[index]! - after[index]!, `what payer ${payer} was charged`).to.equal(owed);
  }
}

const balances = (chain: LocalChain): Promise<bigint[]> =>
  Promise.all(PAYERS.map((payer) => chain.opg.balanceOf(chain.account(payer).address)));

/** A mix of everything that charges a payer, every payment of another amount. */
async function prepare(chain: LocalChain, { payments, facilitators }: CrashTest): Promise<Expected[]> {
  const seller = chain.account(SELLER).address;
  for (const payer of PAYERS) {
    await (await chain.opg.transfer(chain.account(payer).address, parseEther("100"))).wait();
    await approvePermit2(chain, chain.account(payer));
  }
  const made = Array.from({ length: payments }, async (_, index): Promise<Expected> => {
    const payer = PAYERS[index % PAYERS.length]!;
    const wallet = chain.account(payer);
    const amount = 1_000n + BigInt(index);
    const facilitator = chain.account(FIRST_FACILITATOR + (index % facilitators)).address;
    const kind = Math.floor(index / PAYERS.length) % 4;
    const requirements =
      kind < 2
        ? requirementsFor(chain, seller, amount)
        : permitRequirements(chain, seller, amount, kind === 2 ? undefined : facilitator);
    const payload = await (kind < 2 ? stockPayment : stockPermit)(chain, wallet, requirements);
    // now and then an answer that cost nothing
    const charged = kind < 3 ? amount : index % 7 === 0 ? 0n : amount / 2n;
    const { key } = parsePayment(payload, requirements, charged);
    return { payload, requirements, amountWei: charged.toString(), key, payer };
  });
  return Promise.all(made);
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
