import type { Hex } from "../receipts/types.ts";
import { proofOf } from "../receipts/tensors.ts";
import type { Invariant, SimulationSummary } from "./report.ts";
import { BatchStatus, type PostedBatch } from "./settledBatches.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";
import { ZK_REQUESTS, type ZkOutcome } from "./zkFlow.ts";

/** Figures and invariants of what was proven, and of what was proven wrong. */
export function judgeZk(
  network: SimulatedNetwork,
  { proven, slowestProofMs, forged, wrong, escrowFulfilled }: ZkOutcome,
  batches: readonly PostedBatch[],
): { figures: SimulationSummary["zk"]; invariants: Invariant[] } {
  const find = (requestId: Hex) => {
    for (const batch of batches) {
      const receipt = batch.receipts.find((signed) => signed.receipt.requestId === requestId);
      if (receipt !== undefined) return { batch, receipt };
    }
    return undefined;
  };
  const settled = proven.flatMap(({ requestId }) => find(requestId) ?? []);
  const final = settled.filter(
    ({ batch, receipt }) => batch.status === BatchStatus.attested && proofOf(receipt) !== undefined,
  );
  const punished = (requestId: Hex, operator: Hex): boolean => {
    const batch = find(requestId)?.batch;
    return batch !== undefined && batch.punished && batch.header.operator === operator;
  };
  const isForgeryCaught = punished(forged.requestId, network.forger.account.address);
  const isWrongRefuted = punished(wrong.requestId, network.bungler.account.address);
  return {
    figures: {
      requests: ZK_REQUESTS,
      proven: proven.length,
      final: final.length,
      escrowed: Number(escrowFulfilled),
      forgeriesCaught: Number(isForgeryCaught),
      refuted: Number(isWrongRefuted),
      slowestProofMs,
    },
    invariants: [
      {
        name: "every proof was verified by the client, and its receipt is final with it",
        ok: proven.length === ZK_REQUESTS && final.length === ZK_REQUESTS,
        detail: `${proven.length} verified, ${final.length} final`,
      },
      { name: "the escrowed request in mode ZKML was answered on chain by its proof", ok: escrowFulfilled },
      { name: "the false proof was proven false on chain", ok: isForgeryCaught },
      { name: "the answer of other weights was refuted on chain by a proof", ok: isWrongRefuted },
    ],
  };
}
