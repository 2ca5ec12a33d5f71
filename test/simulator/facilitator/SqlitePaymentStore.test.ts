import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqlitePaymentStore } from "../../../simulator/facilitator/SqlitePaymentStore.ts";
import { itKeepsPayments } from "../../support/paymentStoreContract.ts";

describe("SqlitePaymentStore", () => {
  itKeepsPayments(() => {
    const directory = mkdtempSync(join(tmpdir(), "payments-"));
    return Promise.resolve({
      open: () => Promise.resolve(new SqlitePaymentStore(join(directory, "payments.db"))),
      dispose: () => Promise.resolve(rmSync(directory, { recursive: true })),
    });
  });
});
