import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteDataJobStore } from "../../../simulator/facilitator/data/SqliteDataJobStore.ts";
import { itKeepsDataJobs } from "./dataJobStoreContract.ts";

describe("SqliteDataJobStore", () => {
  itKeepsDataJobs(() => {
    const directory = mkdtempSync(join(tmpdir(), "data-jobs-"));
    return Promise.resolve({
      open: () => Promise.resolve(new SqliteDataJobStore(join(directory, "payments.db"))),
      dispose: () => Promise.resolve(rmSync(directory, { recursive: true })),
    });
  });
});
