import type { Logger } from "pino";
import { PaymentError } from "../../facilitator/PaymentError.ts";
import type { PaymentJob } from "../../facilitator/PaymentStore.ts";
import type { PaymentRail } from "../PaymentCollector.ts";
import type { RequestStore } from "../RequestStore.ts";
import type { StoredAnswer, StoredRequest } from "../StoredRequest.ts";
import type { DebtLedger } from "./DebtLedger.ts";
import type { PayerBalances } from "./PayerBalances.ts";
import type { Session, SessionStore } from "./SessionStore.ts";

export interface SessionKeeperOptions {
  store: RequestStore;
  sessions: SessionStore;
  debts: DebtLedger;
  rail: PaymentRail;
  balances: PayerBalances;
  logger: Logger;
  /** A session that nothing is asked of for this long is settled. */
  idleMs: number;
  /** And one that cannot take a request any more, because its authorization expires in this time. */
  minValiditySeconds: number;
  /** How often that is looked for. */
  sweepMs: number;
}

/** What an open session is used for at the moment. */
interface Use {
  /** Fees of its answers, wei. */
  chargedWei: bigint;
  /** What its requests under way may cost, wei. */
  reservedWei: bigint;
  /** Requests whose answer is not on disk yet. */
  underWay: number;
  lastUsedMs: number;
  exhausted: boolean;
}

/** A session after a request was answered, wei. */
export interface SessionBalance {
  chargedWei: bigint;
  remainingWei: bigint;
}

/** Keeps `upto` sessions: what they are charged, when they end, and that each is then settled once, for all its requests. */
export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  readonly #uses = new Map<string, Use>();
  readonly #closing = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
    const { store, sessions, debts } = options;
    for (const { key, payer, openedAtMs } of sessions.open()) {
      const { chargedWei, lastAtMs = openedAtMs } = store.chargedIn(key);
      this.#uses.set(key, { chargedWei, reservedWei: 0n, underWay: 0, lastUsedMs: lastAtMs, exhausted: false });
      debts.add(payer, chargedWei);
    }
    for (const status of ["closing", "settling", "dead"] as const) {
      for (const { payer, amountWei = 0n } of sessions.withStatus(status)) debts.add(payer, amountWei);
    }
    for (const request of store.withStatus("reserved")) {
      if (request.session === undefined) continue;
      if (this.#uses.has(request.session)) this.#begin(request);
      else store.releaseReserved(request.key);
    }
  }

  /** Takes up what an earlier run left. */
  async start(): Promise<void> {
    const { rail, sessions, sweepMs } = this.#options;
    this.#unsubscribe = rail.onOutcome((job) => void this.#record(job).catch(this.#logError));
    for (const session of sessions.withStatus("settling")) {
      // its end may have passed while nobody listened
      const job = await rail.job(session.payload, session.requirements);
      if (job === undefined) await sessions.change(session.key, { status: "closing" });
      else await this.#record(job);
    }
    this.#sweep();
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  /** Sessions that are open stay so, for the next run. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#closing.values());
    this.#unsubscribe?.();
  }

  /** Opens a session, before its first request is reserved. Nothing is awaited. */
  open(session: Session): void {
    this.#options.sessions.add(session);
    this.#uses.set(session.key, {
      chargedWei: 0n,
      reservedWei: 0n,
      underWay: 0,
      lastUsedMs: Date.now(),
      exhausted: false,
    });
  }

  /** What can still be reserved in a session, wei. */
  remainingWei({ key, capWei }: Session): bigint {
    const use = this.#uses.get(key);
    return use === undefined ? 0n : capWei - use.chargedWei - use.reservedWei;
  }

  /** A request did not fit. When no other is under way the session has to end: the client will sign a new one. */
  exhausted(key: string): void {
    const use = this.#uses.get(key);
    if (use !== undefined && use.underWay === 0 && use.chargedWei > 0n) use.exhausted = true;
  }

  /** A request of a session was reserved. */
  reserved(request: StoredRequest): void {
    this.#begin(request).lastUsedMs = Date.now();
  }

  /** Its inference failed: what was reserved is free again. */
  released(request: StoredRequest): void {
    const use = this.#use(request);
    use.reservedWei -= request.amountWei;
    use.underWay--;
    use.lastUsedMs = Date.now();
  }

  /** Charges an answer. Resolves when answer and charge are on disk, in one. */
  async charge(request: StoredRequest, answer: StoredAnswer): Promise<void> {
    const { store, debts } = this.#options;
    const use = this.#use(request);
    use.chargedWei += answer.feeWei;
    use.reservedWei -= request.amountWei;
    debts.add(request.payment.payer, answer.feeWei);
    try {
      await store.markAnswered(request.key, answer, Date.now());
    } catch (error) {
      use.chargedWei -= answer.feeWei;
      use.reservedWei += request.amountWei;
      debts.add(request.payment.payer, -answer.feeWei);
      throw error;
    }
    use.underWay--;
    use.lastUsedMs = Date.now();
  }

  /** Of a session, as it is now. */
  balance({ key, capWei, amountWei }: Session): SessionBalance {
    const chargedWei = this.#uses.get(key)?.chargedWei ?? amountWei ?? 0n;
    return { chargedWei, remainingWei: capWei - chargedWei };
  }

  /** Ends the sessions that are due to end. */
  #sweep(): void {
    const { sessions, idleMs, minValiditySeconds } = this.#options;
    const now = Date.now();
    for (const session of sessions.open()) {
      const use = this.#uses.get(session.key);
      if (use === undefined || use.underWay > 0) continue;
      const full = use.exhausted || use.chargedWei >= session.capWei;
      const late = session.validBefore < now / 1000 + minValiditySeconds;
      if (full || late || now - use.lastUsedMs >= idleMs) this.#close(session);
    }
    for (const session of sessions.withStatus("closing")) this.#close(session);
  }

  #close(session: Session): void {
    if (this.#closing.has(session.key)) return;
    const closing = this.#settle(session)
      .catch((error: unknown) => {
        this.#options.logger.error({ key: session.key, err: error }, "session not handed over; trying again");
      })
      .finally(() => this.#closing.delete(session.key));
    this.#closing.set(session.key, closing);
  }

  async #settle({ key, status, amountWei, payload, requirements }: Session): Promise<void> {
    const { sessions, store, rail, logger } = this.#options;
    if (status === "open") {
      const { chargedWei } = store.chargedIn(key);
      // takes no request from here on, so that the amount is final
      this.#uses.delete(key);
      if (chargedWei === 0n) return sessions.change(key, { status: "closed", amountWei: 0n });
      await sessions.change(key, { status: "closing", amountWei: chargedWei });
      amountWei = chargedWei;
    }
    try {
      await rail.enqueue(payload, requirements, { amountWei: amountWei! });
    } catch (error) {
      if (!(error instanceof PaymentError)) throw error;
      // what the facilitator refuses it refuses again: somebody else had the permit settled
      logger.error({ key, err: error }, "session cannot be charged");
      return sessions.change(key, { status: "dead" });
    }
    // it may be settled by now
    if (sessions.find(key)?.status === "closing") await sessions.change(key, { status: "settling" });
  }

  async #record({ key, status, transaction, payer }: PaymentJob): Promise<void> {
    const { sessions, debts, balances } = this.#options;
    const session = sessions.find(key);
    if (session === undefined || session.status === status || (status !== "settled" && status !== "dead")) return;
    // only what was closed is charged; what was settled stays so
    if (session.status === "open" || session.status === "settled") return;
    balances.forget(payer);
    const { amountWei = 0n } = session;
    if (status === "settled") debts.add(session.payer, -amountWei);
    await sessions.change(key, { status, amountWei, ...(transaction && { transaction: transaction.hash }) });
  }

  #begin(request: StoredRequest): Use {
    const use = this.#use(request);
    use.reservedWei += request.amountWei;
    use.underWay++;
    return use;
  }

  #use({ session }: StoredRequest): Use {
    const use = session === undefined ? undefined : this.#uses.get(session);
    if (use === undefined) throw new Error(`Expected session ${session} to be open`);
    return use;
  }

  readonly #logError = (error: unknown): void => {
    this.#options.logger.error({ err: error }, "session outcome not recorded");
  };
}
