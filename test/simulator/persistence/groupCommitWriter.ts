import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";

/** Writes numbers for ever, many at a time, and prints each once it is stored. */
function main(path: string): void {
  const group = new GroupCommit(path);
  group.database.exec("CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY) STRICT");
  const insert = group.database.prepare("INSERT INTO rows VALUES (?)");
  const { n: first } = group.database.prepare("SELECT coalesce(max(n), 0) + 1 AS n FROM rows").get() as { n: number };

  let next = first;
  const write = (): void => {
    const n = next++;
    group.add(
      () => void insert.run(n),
      (error) => {
        if (error !== undefined) throw error;
        writeSync(1, `${n}\n`);
        write();
      },
    );
  };
  for (let i = 0; i < 16; i++) write();
}

// test runners load every file below test/
const [, script, path] = process.argv;
if (script === fileURLToPath(import.meta.url) && path !== undefined) main(path);
