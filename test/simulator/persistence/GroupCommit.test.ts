import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { expect } from "chai";

import { type Durability, GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";
import { rejection } from "../../support/rejection.ts";

const SCHEMA =
  "CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY) STRICT; CREATE TABLE IF NOT EXISTS sums (total INTEGER)";

describe("GroupCommit", () => {
  let directory: string;
  let path: string;
  const open: GroupCommit[] = [];

  const commits = (durability?: Durability): GroupCommit => {
    const made = new GroupCommit(path, durability && { durability });
    made.database.exec(SCHEMA);
    open.push(made);
    return made;
  };
  const insert = (group: GroupCommit, n: number) => () =>
    void group.database.prepare("INSERT INTO rows VALUES (?)").run(n);
  /** As another process would see them. */
  const stored = (): number[] => {
    const database = new DatabaseSync(path);
    const rows = database.prepare("SELECT n FROM rows ORDER BY n").all();
    database.close();
    return rows.map(({ n }) => Number(n));
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "group-commit-"));
    path = join(directory, "group.sqlite");
  });
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
    rmSync(directory, { recursive: true });
  });

  for (const durability of ["power", "full", "crash"] as const) {
    it(`run_manyInOneTurn_${durability}_shareACommit`, async () => {
      const group = commits(durability);
      await Promise.all([1, 2, 3].map((n) => group.run(insert(group, n))));
      expect(group.stats).to.deep.equal({ commits: 1, operations: 3 });
      expect(stored()).to.deep.equal([1, 2, 3]);
      expect(group.isIdle).to.equal(true);
    });
  }

  it("run_oneFails_theOthersAreKept", async () => {
    const group = commits();
    const [first, second, third] = await Promise.allSettled([1, 1, 2].map((n) => group.run(insert(group, n))));
    expect([first?.status, second?.status, third?.status]).to.deep.equal(["fulfilled", "rejected", "fulfilled"]);
    expect(stored()).to.deep.equal([1, 2]);
  });

  it("run_secondStatementFails_undoesTheFirstToo", async () => {
    const group = commits();
    const twoStatements = (): void => {
      insert(group, 5)();
      insert(group, 1)();
    };
    const results = await Promise.allSettled([group.run(insert(group, 1)), group.run(twoStatements)]);
    expect(results.map(({ status }) => status)).to.deep.equal(["fulfilled", "rejected"]);
    expect(stored()).to.deep.equal([1]);
  });

  it("run_whileTheDiskSyncs_waitsForTheNextCommit", async () => {
    const group = commits("power");
    const first = group.run(insert(group, 1));
    await new Promise(setImmediate);
    const second = group.run(insert(group, 2));
    expect(group.isIdle).to.equal(false);
    await Promise.all([first, second]);
    expect(group.stats.commits).to.equal(2);
    expect(stored()).to.deep.equal([1, 2]);
  });

  it("runNow_commitsWhatWaitsBeforeIt", async () => {
    const group = commits();
    const waiting = group.run(insert(group, 1));
    expect(group.runNow(() => stored.length)).to.equal(0);
    expect(stored()).to.deep.equal([1]);
    await waiting;
    expect(() => group.runNow(insert(group, 1))).to.throw();
    expect(stored()).to.deep.equal([1]);
  });

  it("close_withOperationsWaiting_keepsThem_andTakesNoMore", async () => {
    const group = commits();
    const waiting = group.run(insert(group, 1));
    group.close();
    await waiting;
    expect(stored()).to.deep.equal([1]);
    await rejection(group.run(insert(group, 2)));
  });

  it("open_growsTheLogOnce_andLeavesTheDatabaseSmall", () => {
    commits();
    expect(statSync(`${path}-wal`).size).to.be.at.least(1 << 24);
    expect(statSync(path).size).to.be.below(1 << 16);
  });

  it("kill_inALoop_keepsWhatWasReported", async function () {
    this.timeout(60_000);
    for (let round = 0; round < 3; round++) {
      const reported = await killedWriter(path);
      expect(reported.length).to.be.above(0);
      expect(stored()).to.include.members(reported);
    }
  });
});

/** Numbers that a writer had reported as stored when it was killed. */
function killedWriter(path: string): Promise<number[]> {
  const script = fileURLToPath(new URL("./groupCommitWriter.ts", import.meta.url));
  const writer = spawn(process.execPath, ["--import", "tsx", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  return new Promise((resolve) => {
    writer.stdout.on("data", (piece: Buffer) => {
      text += piece.toString();
      if (text.length > 5_000) writer.kill("SIGKILL");
    });
    writer.on("close", () => {
      // the last line may be cut
      resolve(text.split("\n").slice(0, -1).map(Number));
    });
  });
}
