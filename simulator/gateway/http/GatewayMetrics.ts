import { Counter, Gauge, Registry } from "prom-client";
import { HttpMetrics } from "../../http/HttpMetrics.ts";

/** What is under way in a gateway, read when somebody looks at `/metrics`. What a gateway does not have stays out. */
export interface GatewayState {
  /** Inferences asked of a node and not yet answered. */
  inferences(): number;
  /** Requests by what became of them. */
  requests(): Record<string, number>;
  /** Wei served and not yet paid. */
  outstandingWei(): bigint;
  /** `upto` authorizations that may buy more requests. */
  openSessions?(): number;
  /** Channels with something left in them. */
  openChannels?(): number;
  /** Of the oldest quote that the price of OPG is made of; undefined while there is no price. */
  priceAgeSeconds?(): number | undefined;
}

/** Why payments are refused comes from facilitators too, which may be anybody's: so many reasons have a series of their own. */
const MAX_REASONS = 60;
const REASON = /^[a-z0-9_]{1,80}$/;

/** A gateway's Prometheus metrics, in a registry of its own. No label names a payer, so that their number stays small. */
export class GatewayMetrics {
  readonly registry = new Registry();
  readonly http: HttpMetrics;
  readonly #payments: Counter<"scheme" | "outcome">;
  readonly #refusals: Counter<"reason">;
  readonly #charged: Counter<"scheme">;
  readonly #reasons = new Set<string>();

  constructor() {
    const registers = [this.registry];
    this.http = new HttpMetrics("gateway", this.registry);
    this.#payments = new Counter({
      name: "gateway_payments_total",
      help: "Payments by scheme and what became of them: accepted, refused, settled, dead.",
      labelNames: ["scheme", "outcome"],
      registers,
    });
    this.#refusals = new Counter({
      name: "gateway_payments_refused_total",
      help: "Requests answered 402 or limited, by the error's code.",
      labelNames: ["reason"],
      registers,
    });
    this.#charged = new Counter({
      name: "gateway_charged_wei_total",
      help: "Wei charged for answers, by scheme.",
      labelNames: ["scheme"],
      registers,
    });
  }

  /** A payment passed the checks and buys an answer (`accepted`), was turned away, or reached its end on chain. */
  payment(scheme: string, outcome: "accepted" | "refused" | "settled" | "dead"): void {
    this.#payments.inc({ scheme, outcome });
  }

  refused(reason: string): void {
    const known = this.#reasons.has(reason);
    if (!known && (this.#reasons.size === MAX_REASONS || !REASON.test(reason))) {
      this.#refusals.inc({ reason: "other" });
      return;
    }
    this.#reasons.add(reason);
    this.#refusals.inc({ reason });
  }

  /** Counters are doubles: beyond 2^53 wei the sum is rounded. */
  charged(scheme: string, amountWei: bigint): void {
    this.#charged.inc({ scheme }, Number(amountWei));
  }

  /** Shows `state` at every look. Once per gateway. */
  show(state: GatewayState): void {
    this.#gauge("gateway_inferences", "Inferences under way.", () => state.inferences());
    this.#gauge("gateway_outstanding_wei", "Wei served and not yet paid.", () => Number(state.outstandingWei()));
    this.#gauges("gateway_requests", "Stored requests by status.", () => state.requests());
    if (state.openSessions) this.#gauge("gateway_open_sessions", "upto sessions open.", () => state.openSessions?.());
    if (state.openChannels) this.#gauge("gateway_open_channels", "Channels open.", () => state.openChannels?.());
    if (state.priceAgeSeconds) {
      const help = "Age of the oldest quote that the price of OPG is made of; missing while there is no price.";
      this.#gauge("gateway_price_age_seconds", help, () => state.priceAgeSeconds?.());
    }
  }

  #gauge(name: string, help: string, read: () => number | undefined): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  #gauges(name: string, help: string, read: () => Record<string, number>): void {
    new Gauge({
      name,
      help,
      labelNames: ["status"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [status, value] of Object.entries(read())) this.set({ status }, value);
      },
    });
  }
}
