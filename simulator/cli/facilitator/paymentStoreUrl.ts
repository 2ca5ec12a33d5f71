import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Logger } from "pino";
import type { DataJobStore } from "../../facilitator/data/DataJobStore.ts";
import type { PaymentStore } from "../../facilitator/PaymentStore.ts";

/** Where a facilitator keeps its payments, as `--store` names it. */
export type StoreUrl = { kind: "sqlite"; file: string } | { kind: "postgres"; url: string };

const EXPECTED = 'Expected "sqlite:FILE" or "postgres://USER:PASSWORD@HOST/DATABASE"';

/** For commander. */
export function storeUrl(text: string): StoreUrl {
  if (text.startsWith("sqlite:")) {
    const file = text.slice("sqlite:".length);
    if (file === "") throw new InvalidArgumentError(`${EXPECTED}, found no file.`);
    return { kind: "sqlite", file: resolve(file) };
  }
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { kind: "postgres", url: text };
  throw new InvalidArgumentError(`${EXPECTED}, found "${text.slice(0, 12)}…".`);
}

/** Without its password. */
export function describeStore(store: StoreUrl): string {
  if (store.kind === "sqlite") return `sqlite:${store.file}`;
  const url = new URL(store.url);
  if (url.password !== "") url.password = "***";
  return url.href;
}

export interface OpenStores {
  payments: PaymentStore;
  data: DataJobStore;
}

/** Opens both stores in the same place; what is missing is made. @throws Error that says which store, and why. */
export async function openStores(store: StoreUrl, logger: Logger): Promise<OpenStores> {
  try {
    if (store.kind === "sqlite") {
      const { SqlitePaymentStore } = await import("../../facilitator/SqlitePaymentStore.ts");
      const { SqliteDataJobStore } = await import("../../facilitator/data/SqliteDataJobStore.ts");
      mkdirSync(dirname(store.file), { recursive: true });
      return { payments: new SqlitePaymentStore(store.file), data: new SqliteDataJobStore(store.file) };
    }
    const { PostgresPaymentStore } = await import("../../facilitator/postgres/PostgresPaymentStore.ts");
    const { PostgresDataJobStore } = await import("../../facilitator/postgres/PostgresDataJobStore.ts");
    const payments = await PostgresPaymentStore.open({ url: store.url, logger });
    return { payments, data: await PostgresDataJobStore.open(payments.database) };
  } catch (error) {
    const reason = error instanceof Error ? error.message || error.name : String(error);
    throw new Error(`Cannot open the payment store ${describeStore(store)}: ${reason}`, { cause: error });
  }
}
