import { Counter, Gauge, Registry } from "prom-client";
import { HttpMetrics } from "../../http/HttpMetrics.ts";
import type { Backlog, PaymentJob } from "../PaymentStore.ts";

/** A facilitator's Prometheus metrics, in a registry of its own. */
export class FacilitatorMetrics {
  readonly registry = new Registry();
  readonly http = new HttpMetrics("facilitator", this.registry);
  readonly #settlements: Counter<"scheme" | "outcome">;
  readonly #charged: Counter<"scheme">;

  constructor() {
    const registers = [this.registry];
    this.#settlements = new Counter({
      name: "facilitator_settlements_total",
      help: "Payments that came to their end here, by scheme and outcome: settled, dead.",
      labelNames: ["scheme", "outcome"],
      registers,
    });
    this.#charged = new Counter({
      name: "facilitator_settled_wei_total",
      help: "Wei moved by settled payments.",
      labelNames: ["scheme"],
      registers,
    });
  }

  ended({ status, requirements: { scheme }, amountWei }: PaymentJob): void {
    this.#settlements.inc({ scheme, outcome: status });
    if (status === "settled") this.#charged.inc({ scheme }, Number(amountWei));
  }

  /** Shows what waits, and what was given up, at every look. */
  showBacklog(read: () => Promise<Backlog>): void {
    let looking: Promise<Backlog> | undefined;
    // the gauges are read together: one look for all
    const look = (): Promise<Backlog> => (looking ??= read().finally(() => (looking = undefined)));
    const gauge = (name: string, help: string, valueOf: (backlog: Backlog) => number): Gauge =>
      new Gauge({
        name: `facilitator_${name}`,
        help,
        registers: [this.registry],
        async collect() {
          this.set(valueOf(await look()));
        },
      });
    gauge("queue_jobs", "Payments to be sent or on their way.", ({ open }) => open);
    gauge(
      "queue_oldest_age_seconds",
      "Since the oldest payment in the queue came; 0 when it is empty.",
      ({ oldestAtMs }) => (oldestAtMs === undefined ? 0 : Math.max(0, Date.now() - oldestAtMs) / 1_000),
    );
    gauge("dead_letters", "Payments that were owed and could not be charged.", ({ deadLetters }) => deadLetters);
  }

  /** Shows a number by status at every look. */
  show(name: string, help: string, read: () => Promise<Record<string, number>>): void {
    new Gauge({
      name: `facilitator_${name}`,
      help,
      labelNames: ["status"],
      registers: [this.registry],
      async collect() {
        const found = await read();
        this.reset();
        for (const [status, value] of Object.entries(found)) this.set({ status }, value);
      },
    });
  }
}
