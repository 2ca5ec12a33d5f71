import type { DatabaseSync } from "node:sqlite";
import type { PaymentRequirements } from "@x402/core/types";
import { openDatabase } from "../persistence/openDatabase.ts";
import type { Hex } from "../receipts/types.ts";

/** A payment channel as its payer knows it. Amounts are cumulative, wei. */
export interface Channel {
  id: Hex;
  /** Origin. */
  gateway: string;
  /** 32 bytes: tells a payer's channels with one gateway apart. */
  salt: Hex;
  /** The terms it was opened for. */
  offer: PaymentRequirements;
  /** Deposited, less what was refunded. */
  balanceWei: bigint;
  /** Sum of the fees that receipts prove, and of those that the gateway claims for answers that were lost. */
  chargedWei: bigint;
  /** The part of it that no receipt proves. */
  unprovenWei: bigint;
  /** The highest voucher ever signed: what the gateway can claim at most. */
  signedWei: bigint;
  /** Whether this store has seen all of the channel's vouchers; not if it was found again on chain. */
  complete: boolean;
  /** A deposit that was signed, and of which is not known whether it was made. */
  deposit?: PendingDeposit;
}

export interface PendingDeposit {
  wei: bigint;
  /** The voucher it was sent with. */
  maxClaimableWei: bigint;
  /** PAYMENT-SIGNATURE. */
  header: string;
  /** Unix seconds after which it cannot be made. */
  validBefore: bigint;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS channel (
    id TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    state TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** The channels of a payer. A change is on disk when `put` returns, which is before any voucher leaves. */
export class ChannelStore {
  readonly #db: DatabaseSync;

  /** @param file SQLite; ":memory:" for channels that are forgotten. */
  constructor(file: string) {
    this.#db = openDatabase(file, SCHEMA);
  }

  get(id: Hex): Channel | undefined {
    const row = this.#db.prepare("SELECT state FROM channel WHERE id = ?").get(id) as { state: string } | undefined;
    return row && read(row.state);
  }

  /** Of one gateway, or of all. */
  list(gateway?: string): Channel[] {
    const rows = (
      gateway === undefined
        ? this.#db.prepare("SELECT state FROM channel ORDER BY id").all()
        : this.#db.prepare("SELECT state FROM channel WHERE gateway = ? ORDER BY id").all(gateway)
    ) as { state: string }[];
    return rows.map(({ state }) => read(state));
  }

  put(channel: Channel): void {
    const { id, gateway, offer } = channel;
    // the offer is the gateway's: as one string, none of its own can be taken for an amount
    const state = JSON.stringify({ ...channel, offer: JSON.stringify(offer) }, (_key, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    );
    this.#db.prepare("INSERT OR REPLACE INTO channel (id, gateway, state) VALUES (?, ?, ?)").run(id, gateway, state);
  }

  close(): void {
    this.#db.close();
  }
}

function read(state: string): Channel {
  const channel = JSON.parse(state, (_key, value: unknown) =>
    typeof value === "string" && /^[0-9]+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  ) as Omit<Channel, "offer"> & { offer: string };
  return { ...channel, offer: JSON.parse(channel.offer) as PaymentRequirements };
}
