import { z } from "zod";
import { addressSchema, bytes32Schema } from "../../receipts/types.ts";
import type { DataJob } from "./DataJobStore.ts";

export const DATA_FORMAT = "opengradient-data-1";

/** What a blob of reported answers holds: enough for anybody to check the enclaves' signatures, and nothing of who paid. */
export const dataBlobSchema = z.strictObject({
  format: z.literal(DATA_FORMAT),
  settlements: z
    .array(
      z.strictObject({
        tee_id: bytes32Schema,
        input_hash: bytes32Schema,
        output_hash: bytes32Schema,
        tee_signature: z.base64(),
        tee_timestamp: z.int().min(0),
        /** Of `individual` settlements. */
        input: z.string().optional(),
        output: z.string().optional(),
        timestamp: z.int().optional(),
        eth_address: addressSchema.optional(),
      }),
    )
    .min(1),
});

/** UTF-8 JSON. The same jobs are the same bytes, so that a crash between writing and noting leads to the same blob. */
export function encodeDataBlob(jobs: readonly DataJob[]): Uint8Array {
  const settlements = jobs.map(({ type, statement, content }) => ({
    tee_id: statement.teeId,
    input_hash: statement.inputHash,
    output_hash: statement.outputHash,
    tee_signature: statement.signature,
    tee_timestamp: Number(statement.timestamp),
    ...(type === "individual" &&
      content && {
        input: content.input,
        output: content.output,
        ...(content.timestamp !== undefined && { timestamp: content.timestamp }),
        ...(content.ethAddress !== undefined && { eth_address: content.ethAddress }),
      }),
  }));
  const blob: z.input<typeof dataBlobSchema> = { format: DATA_FORMAT, settlements };
  return Buffer.from(JSON.stringify(blob));
}
