import { DatabaseSync } from "node:sqlite";

/** Opens (and creates) a SQLite file whose commits survive a power cut: write-ahead log, synced at every commit. */
export function openDatabase(file: string, schema: string): DatabaseSync {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
  database.exec(schema);
  return database;
}
