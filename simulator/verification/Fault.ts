import type { Challenge } from "./challenge.ts";

/** What is wrong with a batch. */
export type FaultKind =
  /** The blob is no batch of this operator. */
  | "blob"
  /** The receipts' tree has another root, and no single lie about a total explains it. */
  | "root"
  /** The header's number of receipts, or sum of fees, is not the tree's. */
  | "count"
  | "fees"
  /** A leaf's or inner node's parent counts it wrong. */
  | "leaf-total"
  | "node-total"
  /** Nobody's signature. */
  | "signature"
  /** A key that did not sign for this operator, in this mode, at that time. */
  | "signer"
  /** Served outside the header's interval. */
  | "served-at"
  /** The request is in this batch twice, or in an earlier batch of the operator. */
  | "duplicate"
  /** Not in the ModelRegistry; not offered in this mode; below its price. */
  | "model"
  | "mode"
  | "price"
  /** Tensors in the blob that the receipt's hashes are not of. */
  | "tensors"
  /** A receipt of mode ZKML without a proof beside it, or with one that does not prove it. */
  | "proof-missing"
  | "proof-invalid"
  /** A zk model answers this input otherwise. */
  | "output-refuted"
  /** Not what the ModelRegistry says, or not what the header's hash stands for. */
  | "royalties";

export interface Fault {
  kind: FaultKind;
  message: string;
  /** Index of the receipt, when it is one's fault. */
  leaf?: number;
  /** How the contract is shown it. Without, there is no fraud proof, and all a verifier can do is not to vote. */
  challenge?: Challenge;
}

/** A fault that the contract can be shown. */
export type ProvableFault = Fault & { challenge: Challenge };

export const isProvable = (fault: Fault): fault is ProvableFault => fault.challenge !== undefined;

/** One line for logs and refusals. */
export function describeFault({ kind, message, leaf }: Fault): string {
  return `${kind}${leaf === undefined ? "" : ` (receipt ${leaf})`}: ${message}`;
}
