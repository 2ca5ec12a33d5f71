import { expect } from "chai";
import { pino } from "pino";
import { PostgresPaymentStore } from "../../../../simulator/facilitator/postgres/PostgresPaymentStore.ts";
import { rejection } from "../../../support/rejection.ts";
import { itKeepsPayments } from "../../../support/paymentStoreContract.ts";
import { newSchema, withPostgres } from "./withPostgres.ts";

const logger = pino({ level: "silent" });

describe("PostgresPaymentStore", function () {
  this.timeout(60_000);
  const postgres = withPostgres();

  const open = (schema: string): Promise<PostgresPaymentStore> =>
    PostgresPaymentStore.open({ url: postgres().url, schema, logger });

  itKeepsPayments(() => {
    const schema = newSchema();
    return Promise.resolve({
      open: () => open(schema),
      dispose: async () => {
        await postgres().query(`DROP SCHEMA ${schema} CASCADE; DROP SCHEMA ${schema}_queue CASCADE`);
      },
    });
  });

  it("open_manyAtOnceOnNothing_makesTheTablesOnce", async () => {
    const schema = newSchema();
    const stores = await Promise.all(Array.from({ length: 4 }, () => open(schema)));
    expect(await Promise.all(stores.map((store) => store.counts()))).to.have.lengthOf(4);
    await Promise.all(stores.map((store) => store.close()));
  });

  it("open_schemaThatIsNoName_isRefused", async () => {
    for (const schema of ["", "a b", "x; DROP TABLE payments", "A", "1a"]) {
      expect(await rejection(open(schema))).to.be.instanceOf(RangeError);
    }
  });

  it("open_noServer_isRefusedSoon", async () => {
    const url = "postgres://tester@localhost/postgres?host=/nowhere";
    const error = await rejection(PostgresPaymentStore.open({ url, logger }));
    expect((error as Error & { code: string }).code).to.equal("ENOENT");
  });
});
