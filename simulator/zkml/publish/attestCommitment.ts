import { formatEther } from "ethers";

import type { Chain } from "../../chain/connectChain.ts";
import { ContractRevertError } from "../../chain/ContractRevertError.ts";
import type { TransactionSubmitter } from "../../chain/TransactionSubmitter.ts";
import type { Hex } from "../../receipts/types.ts";
import { collectCommitmentVotes, packVotes, type SeatVotes, type VerifierSet } from "../../settlement/collectVotes.ts";
import { SettlementView } from "../../settlement/SettlementView.ts";
import { commitmentDigest } from "../commitmentDigest.ts";
import type { G1Point } from "../curve.ts";
import { type ZkDirectory, ZkStatus } from "../ZkDirectory.ts";
import { PublishError } from "./PublishError.ts";
import type { PublishProgress } from "./publishZkModel.ts";

export interface AttestOptions {
  chain: Chain;
  contracts: { models: Hex; nodes: Hex; settlement: Hex };
  directory: ZkDirectory;
  /** Whoever pays for the transaction. */
  owner: TransactionSubmitter;
  /** Base URLs of verifiers. */
  verifiers: () => Promise<readonly string[]>;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  tell: (progress: PublishProgress) => void;
}

/** Collects the votes of the current verifier set for a registered commitment, and has the version attested. @throws PublishError */
export async function attestCommitment(options: AttestOptions, modelId: Hex, commitment: G1Point): Promise<void> {
  const { chain, contracts, directory, owner, tell } = options;
  const view = new SettlementView({ chain, ...contracts });
  const { setId } = await view.state();
  if (setId === 0) throw new PublishError("no_verifier_set", "Expected verifiers to vote, found no verifier set yet");
  const set = await view.verifierSet(setId);
  const domain = { chainId: chain.chainId, verifyingContract: contracts.models };
  const digest = commitmentDigest(domain, modelId, commitment, setId);
  const votes = await approvals(options, { modelId, setId, set, digest });

  const { seats, signatures } = packVotes(votes);
  const call = directory.versions.attestZk.populateTransaction(modelId, setId, seats, signatures);
  try {
    const { hash } = await owner.submit(call, { label: `attestZk ${modelId.slice(0, 10)}` });
    tell({ step: "attested", modelId, transactionHash: hash as Hex });
  } catch (error) {
    // somebody else may have brought the same votes
    if (!(error instanceof ContractRevertError) || !(await isAttested(directory, modelId))) throw error;
    tell({ step: "attested", modelId });
  }
}

async function approvals(
  { verifiers, timeoutMs, signal, tell }: AttestOptions,
  question: { modelId: Hex; setId: number; set: VerifierSet; digest: Hex },
): Promise<SeatVotes> {
  const { set, setId, modelId } = question;
  const urls = await verifiers();
  const { votes, quorum, failures } = await collectCommitmentVotes({
    ...question,
    urls,
    timeoutMs,
    ...(signal && { signal }),
  });
  signal?.throwIfAborted();
  const approvingWei = [...votes.keys()].reduce((sum, seat) => sum + (set.stakes[seat] ?? 0n), 0n);
  tell({ step: "voted", approvingWei, totalWei: set.totalStake });
  if (quorum) return votes;
  const reasons = failures.map(({ url, code, message }) => `${url}: ${code}: ${message}`).join("\n  ");
  throw new PublishError(
    "quorum_missed",
    `Expected two thirds of ${formatEther(set.totalStake)} OPG of verifier set ${setId} to approve the commitment of ${modelId}, ` +
      `found ${formatEther(approvingWei)} from ${urls.length} verifiers${reasons && `:\n  ${reasons}`}`,
    failures,
  );
}

async function isAttested(directory: ZkDirectory, modelId: Hex): Promise<boolean> {
  const { status } = await directory.registration(modelId);
  return status === ZkStatus.attested || status === ZkStatus.released;
}
