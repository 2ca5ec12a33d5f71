import { z } from "zod";
import { uint96Schema } from "../receipts/types.ts";
import { VerificationError } from "./ClientError.ts";

/** What a gateway says about a channel, where it says so: in a 402's offer, and in PAYMENT-RESPONSE's `extra`. */
const statementSchema = z.looseObject({
  chargedAmount: uint96Schema.optional(),
  channelState: z
    .looseObject({
      channelId: z.string().toLowerCase().optional(),
      chargedCumulativeAmount: uint96Schema.optional(),
    })
    .optional(),
  voucherState: z
    .looseObject({ signedMaxClaimable: uint96Schema.optional(), signature: z.string().optional() })
    .optional(),
});

export type ChannelStatement = z.output<typeof statementSchema>;

/** @throws VerificationError channel_state_mismatch */
export function parseStatement(extra: unknown): ChannelStatement {
  const parsed = statementSchema.safeParse(extra);
  if (parsed.success) return parsed.data;
  throw falseState(`What the gateway says of the channel is unreadable: ${z.prettifyError(parsed.error)}`);
}

export const falseState = (message: string): VerificationError =>
  new VerificationError("channel_state_mismatch", message);
