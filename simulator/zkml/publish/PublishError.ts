import type { VoteFailure } from "../../settlement/collectVotes.ts";

export type PublishErrorCode =
  /** The repository is somebody else's. */
  | "not_owner"
  /** The account has less OPG than the bond takes. */
  | "insufficient_opg"
  /** The version has another commitment on chain, which nobody has attested. It can be withdrawn after a delay. */
  | "registered_otherwise"
  /** The version's commitment was proven wrong, which is final: publish another version. */
  | "proven_wrong"
  /** There are no verifiers to vote. */
  | "no_verifier_set"
  /** Too few verifiers have approved; `failures` has what the others said. Try again later. */
  | "quorum_missed";

/** A model cannot be published for mode ZKML. What was done stays done: call again to go on. */
export class PublishError extends Error {
  override readonly name = "PublishError";
  readonly code: PublishErrorCode;
  readonly failures: readonly VoteFailure[];

  constructor(code: PublishErrorCode, message: string, failures: readonly VoteFailure[] = []) {
    super(message);
    this.code = code;
    this.failures = failures;
  }
}
