import { pino } from "pino";
import { PostgresPaymentStore } from "../../../../simulator/facilitator/postgres/PostgresPaymentStore.ts";
import type { PaymentStore } from "../../../../simulator/facilitator/PaymentStore.ts";

/** For facilitators in processes of their own. */
export const openPaymentStore = (settings: unknown): Promise<PaymentStore> =>
  PostgresPaymentStore.open({
    ...(settings as { url: string; schema: string }),
    logger: pino({ level: "silent" }),
    connections: 6,
  });
