import { readFileSync } from "node:fs";

import { expect } from "chai";

import { renderTable, TABLE_FILE } from "../../../scripts/generateP384Table.ts";

describe("P384Verifier: generatorTable", () => {
  it("generatorTable_file_isWhatTheScriptWrites", () => {
    expect(readFileSync(TABLE_FILE, "utf8")).to.equal(renderTable());
  });
});
