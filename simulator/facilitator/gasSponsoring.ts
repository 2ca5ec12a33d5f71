import type { PaymentPayload } from "@x402/core/types";
import { z } from "zod";
import { hexSchema, type Hex } from "../receipts/types.ts";

const decimal = z.string().regex(/^[0-9]{1,78}$/);

const permitSchema = z.object({
  eip2612GasSponsoring: z.object({
    info: z.object({ amount: decimal, deadline: decimal, signature: hexSchema(65) }),
  }),
});

const approvalSchema = z.object({
  erc20ApprovalGasSponsoring: z.object({
    info: z.object({ signedTransaction: z.string().regex(/^0x[0-9a-fA-F]{2,4096}$/) }),
  }),
});

/** An EIP-2612 permit for Permit2, as the x402 proxies take it. */
export interface SponsoredPermit {
  value: string;
  /** Unix seconds. */
  deadline: string;
  r: Hex;
  s: Hex;
  v: number;
}

/** The permit by which a payer without an allowance gives Permit2 one, if the payment carries one. */
export function permitOf({ extensions }: PaymentPayload): SponsoredPermit | undefined {
  const parsed = permitSchema.safeParse(extensions);
  if (!parsed.success) return undefined;
  const { amount, deadline, signature } = parsed.data.eip2612GasSponsoring.info;
  return {
    value: amount,
    deadline,
    r: signature.slice(0, 66) as Hex,
    s: `0x${signature.slice(66, 130)}`,
    v: Number.parseInt(signature.slice(130), 16),
  };
}

/** The payer's signed approval of Permit2, for tokens without permits, if the payment carries one. */
export function approvalOf({ extensions }: PaymentPayload): { approval?: Hex } {
  const parsed = approvalSchema.safeParse(extensions);
  return parsed.success ? { approval: parsed.data.erc20ApprovalGasSponsoring.info.signedTransaction as Hex } : {};
}
