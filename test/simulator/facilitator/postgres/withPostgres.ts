import { NoPostgresError, startPostgres, type PostgresServer } from "../../../support/postgresServer.ts";

/** A server for the tests of the enclosing `describe`, which are skipped, saying why, where none can be had. */
export function withPostgres(): () => PostgresServer {
  let server: PostgresServer | undefined;

  before(async function () {
    this.timeout(60_000);
    try {
      server = await startPostgres();
    } catch (error) {
      if (!(error instanceof NoPostgresError)) throw error;
      console.warn(`      skipped: ${error.message}`);
      this.skip();
    }
  });

  after(() => server?.stop());

  return () => {
    if (server === undefined) throw new Error("PostgreSQL is not started");
    return server;
  };
}

let schemas = 0;

/** A name that no other test has. */
export const newSchema = (): string => `test_${process.pid}_${schemas++}`;
