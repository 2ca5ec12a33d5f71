import type { BatchHeader, Hex } from "../receipts/types.ts";
import type { ModelFault } from "../zkml/checkModel.ts";
import type { Verdict } from "./BatchIndex.ts";
import type { Challenge } from "./challenge.ts";
import type { Fault, FaultKind } from "./Fault.ts";

/** A transaction a verifier has paid for. */
export interface PaidTransaction {
  transactionHash: Hex;
  gasUsed: bigint;
}

/** What a verifier tells about its work. */
export interface VerifierEvents {
  /** A vote has been stored and leaves. */
  voted: [{ batchId: Hex; header: BatchHeader; seat: number }];
  /** A vote was asked for and not given. */
  refused: [{ batchId: Hex; code: string; message: string; faults: readonly Fault[] }];
  /** A posted batch was checked, or checked again because something new came up. */
  judged: [{ batchId: Hex; sequence: number; verdict: Verdict; faults: readonly Fault[] }];
  /** A posted batch's blob cannot be read; it will be tried again. */
  unreadable: [{ batchId: Hex; blobId: Hex; attempts: number }];
  /** Voted on chain for a pending batch. */
  attested: [{ batchId: Hex; seat: number } & PaidTransaction];
  /** Proved a batch wrong, and got the reward for it. */
  challenged: [{ batchId: Hex; fault: FaultKind; method: Challenge["method"] } & PaidTransaction];
  /** A batch was proven wrong, by whomever. */
  provenWrong: [{ batchId: Hex; challenger: Hex; slashedWei: bigint }];
  /** A vote for a model's commitment has been stored and leaves. */
  commitmentVoted: [{ modelId: Hex; setId: number; seat: number }];
  /** A vote for a model's commitment was asked for and not given. */
  commitmentRefused: [{ modelId: Hex; code: string; message: string }];
  /** A model that is registered for mode ZKML was recomputed. */
  modelJudged: [{ modelId: Hex; verdict: Verdict; faults: readonly ModelFault[] }];
  /** A registered model's blob cannot be read; it will be tried again. */
  modelUnreadable: [{ modelId: Hex; attempts: number }];
  /** Took a step of proving a commitment wrong: the contract has summed up so many of the model's entries. */
  accumulated: [{ modelId: Hex; entries: number } & PaidTransaction];
  /** A commitment was proven wrong, by whomever; wei of OPG. */
  commitmentProvenWrong: [{ modelId: Hex; challenger: Hex; rewardWei: bigint; slashedWei: bigint }];
  /** Fixed a new verifier set. */
  snapshotted: [PaidTransaction];
}

/** Tells it. */
export type Tell = <Name extends keyof VerifierEvents>(name: Name, ...args: VerifierEvents[Name]) => void;
