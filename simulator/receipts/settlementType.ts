/**
 * What is published of a paid answer. private: nothing. batch: its receipt, among others in a batch. individual: its request and answer
 * in full as well.
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
