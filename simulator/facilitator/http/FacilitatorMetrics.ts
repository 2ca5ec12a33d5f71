import { Counter, Gauge, Registry } from "prom-client";
import { HttpMetrics } from "../../http/HttpMetrics.ts";
import type { PaymentJob } from "../PaymentStore.ts";

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
