import type { GroupCommit } from "../../persistence/GroupCommit.ts";

/**
 * Rows that change: memory has them until the database does, so that what is decided by them is decided at once, while their commits
 * gather. A row that is not here is as the database says.
 */
export class LiveRows<Row extends { key: string }> {
  readonly #commit: GroupCommit;
  readonly #rows = new Map<string, Row>();

  constructor(commit: GroupCommit) {
    this.#commit = commit;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  values(): IterableIterator<Row> {
    return this.#rows.values();
  }

  /** Takes a row that the database has. */
  load(row: Row): void {
    this.#rows.set(row.key, row);
  }

  /**
   * The row as it is from now on.
   * @param keep whether memory keeps it once it is durable.
   * @param work writes it.
   * @returns resolves when it is durable. A write that fails leaves memory ahead of the disk: what it stood for must not leave.
   */
  write(row: Row, keep: boolean, work: () => void): Promise<void> {
    this.#rows.set(row.key, row);
    const durable = this.#commit.run(work);
    return keep ? durable : durable.then(() => this.#forget(row));
  }

  #forget(row: Row): void {
    // it may have changed again meanwhile
    if (this.#rows.get(row.key) === row) this.#rows.delete(row.key);
  }
}
