import { batchHeaderSchema, type BatchHeader } from "../receipts/types.ts";
import type { ProofSettlement } from "../../typechain-types/index.ts";
import type { EventArgs } from "../chain/eventSource.ts";

/** The header as an event carries it. */
export function headerOfEvent(batch: EventArgs<ProofSettlement, "BatchSubmitted">["batch"]): BatchHeader {
  const { root, blobId, operator, count, setId, fees, servedFrom, servedTo, seen, royaltiesHash } = batch;
  return batchHeaderSchema.parse({
    root,
    blobId,
    operator,
    count: Number(count),
    setId: Number(setId),
    fees: fees.toString(),
    servedFrom: Number(servedFrom),
    servedTo: Number(servedTo),
    seen: Number(seen),
    royaltiesHash,
  });
}
