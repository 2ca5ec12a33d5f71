/** What can be measured, in the order of the table. */
export const CONTENDER_NAMES = [
  "upstream",
  "bare",
  "portkey",
  "exact",
  "batch-settlement",
  "stock-exact",
  "stock-upto",
  "stock-batch-settlement",
  "stock-batch-settlement-file",
] as const;

export type ContenderName = (typeof CONTENDER_NAMES)[number];
