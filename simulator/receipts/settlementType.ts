/**
 * How a paid answer's receipt is settled. private: so that nobody can guess what it is about. batch: among others in a batch.
 * individual: in a batch of its own, at once. To a facilitator that publishes what operators report: private: nothing is published.
 * individual: request and answer are.
 */
export type SettlementType = "private" | "batch" | "individual";

/** Headers by which a client says so, the newer first. */
export const SETTLEMENT_HEADERS = ["x-settlement-type", "x-settle"] as const;

/** Every name that OpenGradient's gateways and SDKs have had for it. */
const TYPES: Readonly<Record<string, SettlementType>> = {
  PRIVATE: "private",
  BATCH: "batch",
  BATCH_HASHED: "batch",
  SETTLE_BATCH: "batch",
  INDIVIDUAL: "individual",
  INDIVIDUAL_FULL: "individual",
  SETTLE: "individual",
  SETTLE_METADATA: "individual",
  SETTLE_INDIVIDUAL: "individual",
  SETTLE_INDIVIDUAL_WITH_METADATA: "individual",
};

/** Names as the documentation of today has them. */
export const SETTLEMENT_TYPES = ["private", "batch", "individual"] as const satisfies readonly SettlementType[];

/** The type with this name, in any case; undefined for no name. */
export function settlementTypeOf(name: string): SettlementType | undefined {
  const upper = name.trim().toUpperCase();
  return Object.hasOwn(TYPES, upper) ? TYPES[upper] : undefined;
}
