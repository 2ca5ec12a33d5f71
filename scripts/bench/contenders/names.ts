/** What can be measured, in the order of the table. */
export const CONTENDER_NAMES = [
  "upstream",
  "bare",
  "portkey",
  "unpaid",
  "exact",
  "upto",
  "upto-session",
  "batch-settlement",
  "tee",
  "tee-each",
  "stock-exact",
  "stock-upto",
  "stock-batch-settlement",
  "stock-batch-settlement-file",
] as const;

export type ContenderName = (typeof CONTENDER_NAMES)[number];
