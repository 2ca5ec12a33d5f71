import { z } from "zod";
import { dataBlobSchema } from "../data/dataBlob.ts";
import { settlementDataSchema } from "../data/dataStatement.ts";
import { heartbeatSchema } from "../data/HeartbeatRelay.ts";

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/);
const network = z.string().describe("CAIP-2, e.g. eip155:8453");
const hash = z.string().regex(/^0x[0-9a-f]{64}$/);

const request = z.looseObject({
  x402Version: z.literal(2),
  paymentPayload: z.record(z.string(), z.unknown()).describe("What the client put into PAYMENT-SIGNATURE"),
  paymentRequirements: z.record(z.string(), z.unknown()).describe("The terms it accepted"),
  usageMetadata: z.looseObject({ inputTokens: z.int().optional(), outputTokens: z.int().optional() }).optional(),
});

const verifyResponse = z.looseObject({
  isValid: z.boolean(),
  invalidReason: z.string().optional().describe("x402's, or OpenGradient's for what x402 has no word for"),
  payer: z.string().optional(),
});

const settleResponse = z.looseObject({
  success: z.boolean(),
  errorReason: z.string().optional().describe("`settlement_pending`: the outcome is not known yet; ask again"),
  transaction: z.string(),
  network,
  payer: z.string().optional(),
  amount: z.string().optional(),
});

const job = z.looseObject({
  jobId: z.string(),
  queue: z.string(),
  status: z.enum(["queued", "processing", "succeeded", "failed"]),
  createdAt: z.string().nullable(),
  updatedAt: z.string().nullable(),
  result: z.looseObject({}).nullable(),
  error: z.string().nullable(),
  settlementType: z.enum(["private", "batch", "individual"]).nullable(),
  queueNonce: z.int().nullable(),
  signerAddress: address.nullable(),
  txHash: hash.nullable(),
  walrusBlobId: z.string().nullable().describe("base64url, as in Walrus's API"),
});

const supported = z.looseObject({
  kinds: z.array(z.looseObject({ x402Version: z.int(), scheme: z.string(), network })),
  extensions: z.array(z.string()),
  signers: z.record(z.string(), z.array(address)),
});

const NAMED = {
  PaymentRequest: request,
  VerifyResponse: verifyResponse,
  SettleResponse: settleResponse,
  Supported: supported,
  Job: job,
  PaymentJobAnswer: z.looseObject({ paymentJob: job }),
  SettlementJobAnswer: z.looseObject({ settlementJob: job }),
  SettlementData: settlementDataSchema,
  DataBlob: dataBlobSchema,
  HeartbeatRequest: heartbeatSchema,
  HeartbeatAnswer: z.looseObject({
    success: z.literal(true),
    txHash: hash,
    teeId: hash,
    timestamp: z.string(),
    relayer: address,
    contract: address,
  }),
  Usage: z.looseObject({
    operator: z.string(),
    days: z.int(),
    usage: z.array(
      z.looseObject({
        day: z.string(),
        payments: z.int(),
        chargedWei: z.string(),
        inputTokens: z.int(),
        outputTokens: z.int(),
        settlements: z.looseObject({ private: z.int(), batch: z.int(), individual: z.int() }),
      }),
    ),
  }),
  Health: z.looseObject({ status: z.literal("ok"), network, payments: z.record(z.string(), z.int()) }),
  Error: z.looseObject({ error: z.string().describe("Stable code"), message: z.string() }),
} satisfies Record<string, z.ZodType>;

export type FacilitatorSchema = keyof typeof NAMED;

/** Every named shape of the facilitator's API. */
export const facilitatorSchemas = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries(NAMED)) facilitatorSchemas.add(schema, { id });
