import { SqlitePaymentStore } from "../../../simulator/facilitator/SqlitePaymentStore.ts";
import type { PaymentStore } from "../../../simulator/facilitator/PaymentStore.ts";

/** For facilitators in processes of their own. @param file of the database. */
export const openPaymentStore = (file: unknown): Promise<PaymentStore> =>
  Promise.resolve(new SqlitePaymentStore(String(file)));
