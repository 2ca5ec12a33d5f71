import type { StatementSync } from "node:sqlite";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import type { Hex } from "../../receipts/types.ts";
import { Channel, type ChainState } from "./Channel.ts";
import type { ChannelConfig } from "./channelConfig.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS channels (
    id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    balance TEXT NOT NULL,
    claimed TEXT NOT NULL,
    withdraw_requested_at INTEGER NOT NULL,
    refund_nonce TEXT NOT NULL,
    synced_at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS channel_ledgers (
    id TEXT PRIMARY KEY,
    charged TEXT NOT NULL,
    max_claimable TEXT NOT NULL,
    signature TEXT NOT NULL,
    -- of a stream under way: its voucher, and what of it is charged if it is cut here
    pending_max TEXT,
    pending_signature TEXT,
    pending_charged TEXT
  ) STRICT, WITHOUT ROWID;`;

interface Row {
  id: Hex;
  config: string;
  balance: string;
  claimed: string;
  withdraw_requested_at: number;
  refund_nonce: string;
  synced_at_ms: number;
  charged: string;
  max_claimable: string;
  signature: string;
  pending_max: string | null;
  pending_signature: string | null;
  pending_charged: string | null;
}

/** A voucher under way, and how much of it is charged so far. */
export interface PendingVoucher {
  maxWei: bigint;
  signature: string;
  chargedWei: bigint;
}

/** The books of all channels. What a method does not return a promise for is to be called within a transaction of the database. */
export class ChannelStore {
  readonly #commits: GroupCommit;
  readonly #insert: StatementSync;
  readonly #insertLedger: StatementSync;
  readonly #sync: StatementSync;
  readonly #charge: StatementSync;
  readonly #pend: StatementSync;
  readonly #note: StatementSync;
  readonly #release: StatementSync;
  readonly #remove: StatementSync;
  readonly #removeLedger: StatementSync;

  constructor(commits: GroupCommit) {
    this.#commits = commits;
    const { database } = commits;
    database.exec(SCHEMA);
    this.#insert = database.prepare("INSERT OR REPLACE INTO channels VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#insertLedger = database.prepare(
      "INSERT OR IGNORE INTO channel_ledgers VALUES (?, ?, ?, ?, NULL, NULL, NULL)",
    );
    this.#sync = database.prepare(
      "UPDATE channels SET balance = ?, claimed = ?, withdraw_requested_at = ?, refund_nonce = ?, synced_at_ms = ? WHERE id = ?",
    );
    this.#charge = database.prepare(
      `UPDATE channel_ledgers SET charged = ?, max_claimable = ?, signature = ?, pending_max = NULL, pending_signature = NULL,
         pending_charged = NULL WHERE id = ? AND charged = ?`,
    );
    this.#pend = database.prepare(
      "UPDATE channel_ledgers SET pending_max = ?, pending_signature = ?, pending_charged = ? WHERE id = ?",
    );
    this.#note = database.prepare(
      "UPDATE channel_ledgers SET pending_charged = ? WHERE id = ? AND pending_max = ? AND pending_signature = ?",
    );
    this.#release = database.prepare(
      "UPDATE channel_ledgers SET pending_max = NULL, pending_signature = NULL, pending_charged = NULL WHERE id = ?",
    );
    this.#remove = database.prepare("DELETE FROM channels WHERE id = ?");
    this.#removeLedger = database.prepare("DELETE FROM channel_ledgers WHERE id = ?");
  }

  /** All channels, at the start: what a cut stream had delivered is charged now. */
  load<T>(): Channel<T>[] {
    return this.#commits.runNow(() => {
      const rows = this.#commits.database
        .prepare("SELECT * FROM channels JOIN channel_ledgers USING (id)")
        .all() as unknown as Row[];
      return rows.map((row) => this.#channelOf<T>(row));
    });
  }

  /** Keeps a new channel. */
  add({ id, config, chain, ledger, syncedAtMs }: Channel): Promise<void> {
    const { chargedWei, maxClaimableWei, signature } = ledger;
    return this.#commits.run(() => {
      this.#insert.run(id, JSON.stringify(config), ...chainValues(chain), syncedAtMs);
      this.#insertLedger.run(id, chargedWei.toString(), maxClaimableWei.toString(), signature);
    });
  }

  /** Keeps what was read from the chain. */
  sync({ id, chain, syncedAtMs }: Channel): Promise<void> {
    return this.#commits.run(() => void this.#sync.run(...chainValues(chain), syncedAtMs, id));
  }

  /** Forgets a channel that has nothing left. */
  remove(id: Hex): Promise<void> {
    return this.#commits.run(() => {
      this.#remove.run(id);
      this.#removeLedger.run(id);
    });
  }

  /** Charges what a request came to, within a transaction. @throws when somebody else has charged the channel. */
  charge({ id, ledger }: Channel, chargedWei: bigint, maxWei: bigint, signature: string): void {
    const before = ledger.chargedWei.toString();
    const { changes } = this.#charge.run(chargedWei.toString(), maxWei.toString(), signature, id, before);
    if (changes !== 1) throw new Error(`Expected channel ${id} to have charged ${before}: it has another owner`);
  }

  /** Keeps the voucher of a stream before its answer goes out. */
  pend(id: Hex, { maxWei, signature, chargedWei }: PendingVoucher): Promise<void> {
    return this.#commits.run(() => void this.#pend.run(maxWei.toString(), signature, chargedWei.toString(), id));
  }

  /** Notes how far the stream has got, unless it has ended. */
  note(id: Hex, { maxWei, signature, chargedWei }: PendingVoucher): Promise<void> {
    return this.#commits.run(() => void this.#note.run(chargedWei.toString(), id, maxWei.toString(), signature));
  }

  /** The stream failed, and is not charged. */
  release(id: Hex): Promise<void> {
    return this.#commits.run(() => void this.#release.run(id));
  }

  #channelOf<T>(row: Row): Channel<T> {
    let { charged, max_claimable: max, signature } = row;
    if (row.pending_charged !== null && BigInt(row.pending_charged) > BigInt(charged)) {
      const before = charged;
      [charged, max, signature] = [row.pending_charged, row.pending_max ?? max, row.pending_signature ?? signature];
      this.#charge.run(charged, max, signature, row.id, before);
    } else if (row.pending_max !== null) {
      this.#release.run(row.id);
    }
    const chain: ChainState = {
      balanceWei: BigInt(row.balance),
      claimedWei: BigInt(row.claimed),
      withdrawRequestedAt: row.withdraw_requested_at,
      refundNonce: BigInt(row.refund_nonce),
    };
    const ledger = { chargedWei: BigInt(charged), maxClaimableWei: BigInt(max), signature };
    return new Channel<T>(row.id, JSON.parse(row.config) as ChannelConfig, chain, ledger, row.synced_at_ms);
  }
}

const chainValues = ({ balanceWei, claimedWei, withdrawRequestedAt, refundNonce }: ChainState) =>
  [balanceWei.toString(), claimedWei.toString(), withdrawRequestedAt, refundNonce.toString()] as const;
