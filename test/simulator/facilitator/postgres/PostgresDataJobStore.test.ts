import { pino } from "pino";
import { PostgresDatabase } from "../../../../simulator/facilitator/postgres/PostgresDatabase.ts";
import { PostgresDataJobStore } from "../../../../simulator/facilitator/postgres/PostgresDataJobStore.ts";
import { itKeepsDataJobs } from "../dataJobStoreContract.ts";
import { newSchema, withPostgres } from "./withPostgres.ts";

describe("PostgresDataJobStore", () => {
  const postgres = withPostgres();

  itKeepsDataJobs(() => {
    const schema = newSchema();
    const databases: PostgresDatabase[] = [];
    return Promise.resolve({
      open: () => {
        const database = new PostgresDatabase({
          url: postgres().url,
          schema,
          logger: pino({ level: "silent" }),
          connections: 4,
        });
        databases.push(database);
        return PostgresDataJobStore.open(database);
      },
      dispose: async () => {
        await Promise.all(databases.map((database) => database.close()));
        await postgres().query(`DROP SCHEMA ${schema} CASCADE`);
      },
    });
  });
});
