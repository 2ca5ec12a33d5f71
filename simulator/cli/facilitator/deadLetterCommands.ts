import { Command, Option } from "commander";
import { formatUnits } from "ethers";
import { pino } from "pino";
import type { PaymentJob, PaymentStore } from "../../facilitator/PaymentStore.ts";
import { wholeNumber } from "../options.ts";
import { openStores, storeUrl, type StoreUrl } from "./paymentStoreUrl.ts";

interface StoreOptions {
  store: StoreUrl;
  json?: true;
}

const storeOption = (): Option =>
  new Option("--store <url>", "sqlite:FILE or postgres://…")
    .env("FACILITATOR_STORE")
    .argParser(storeUrl)
    .makeOptionMandatory();

export function deadLettersCommand(): Command {
  return new Command("dead-letters")
    .description("Lists payments that were owed and could not be charged, oldest key first.")
    .addOption(storeOption())
    .option("--limit <n>", "how many at most", wholeNumber(1, 10_000), 100)
    .option("--after <key>", "go on after this one")
    .option("--json", "print JSON")
    .action(async (options: StoreOptions & { limit: number; after?: string }) => {
      const { limit, after, json } = options;
      const letters = await withPayments(options, (payments) =>
        payments.deadLetters({ limit, ...(after !== undefined && { after }) }),
      );
      if (json) console.log(JSON.stringify(letters.map(summaryOf), null, 2));
      else if (letters.length === 0) console.log("No dead letters.");
      else for (const letter of letters) console.log(lineOf(letter));
      if (!json && letters.length === limit) console.log(`There may be more: --after ${letters.at(-1)!.key}`);
    });
}

export function retryCommand(): Command {
  return new Command("retry")
    .description("Makes dead letters due again; a running facilitator takes them up within seconds.")
    .argument("<key...>", "as dead-letters lists them")
    .addOption(storeOption())
    .option("--json", "print JSON")
    .action(async (keys: string[], options: StoreOptions) => {
      const outcomes = await withPayments(options, async (payments) => {
        const reopened: { key: string; reopened: boolean; status: string }[] = [];
        for (const key of keys) {
          const done = await payments.reopen(key, Date.now());
          reopened.push({ key, reopened: done, status: (await payments.find(key))?.status ?? "unknown" });
        }
        return reopened;
      });
      if (options.json) console.log(JSON.stringify(outcomes, null, 2));
      else {
        for (const { key, reopened, status } of outcomes) {
          console.log(reopened ? `${key}: due again` : `${key}: left alone, its status is ${status}, not dead`);
        }
      }
      if (outcomes.some(({ reopened }) => !reopened)) process.exitCode = 1;
    });
}

async function withPayments<T>({ store }: StoreOptions, work: (payments: PaymentStore) => Promise<T>): Promise<T> {
  const { payments, data } = await openStores(store, pino({ level: "warn" }, pino.destination(2)));
  try {
    return await work(payments);
  } finally {
    await data.close();
    await payments.close();
  }
}

const summaryOf = ({
  key,
  kind,
  payer,
  amountWei,
  expiresAt,
  attempts,
  reason,
  transaction,
  requirements,
}: PaymentJob) => ({
  key,
  kind,
  payer,
  payTo: requirements.payTo,
  amountWei: amountWei.toString(),
  expiresAt: Number(expiresAt),
  attempts,
  reason: reason ?? null,
  transaction: transaction?.hash ?? null,
});

function lineOf(job: PaymentJob): string {
  const { key, kind, payer, amountWei, expiresAt, attempts, reason = "unknown" } = job;
  // a text of a chain's or a payer's: nothing of theirs may steer a terminal
  const why = reason.replace(/\p{Cc}/gu, "?");
  const until = Number(expiresAt) < 8.64e12 ? new Date(Number(expiresAt) * 1000).toISOString() : "never";
  return `${key}\n  ${kind}, ${formatUnits(amountWei, 18)} of ${payer}, valid until ${until}, ${attempts} attempts: ${why}`;
}
