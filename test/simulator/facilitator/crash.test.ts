import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SqlitePaymentStore } from "../../../simulator/facilitator/SqlitePaymentStore.ts";
import { crashFacilitators } from "../../support/facilitatorCrashes.ts";

describe("facilitators that are killed", () => {
  for (const [facilitators, kills] of [
    [1, 10],
    [2, 6],
  ] as const) {
    it(`kill9_${facilitators}Facilitators${kills}Times_everyPaymentIsChargedExactlyOnce`, async function () {
      this.timeout(240_000);
      const directory = mkdtempSync(join(tmpdir(), "crash-"));
      const file = join(directory, "payments.db");
      try {
        const interrupted = await crashFacilitators({
          storeModule: new URL("./sqliteStoreModule.ts", import.meta.url).href,
          storeSettings: file,
          open: () => Promise.resolve(new SqlitePaymentStore(file)),
          facilitators,
          kills,
          payments: 60,
          seed: 20_261_121,
        });
        expect(interrupted, "payments under way at a kill").to.be.greaterThan(0);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }
});
