import { z } from "zod";
import { chatRequestSchema } from "../../nodes/chatRequest.ts";
import { completionRequestSchema } from "../../nodes/completionRequest.ts";
import { tensorsSchema } from "../../receipts/tensors.ts";
import { bytes32Schema, signedReceiptSchema } from "../../receipts/types.ts";

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/);
const wei = z.string().regex(/^\d+$/).describe("Wei of the token, decimal");
const network = z.string().describe("CAIP-2, e.g. eip155:8453");
const seconds = z.int().min(0).describe("Unix seconds");

const paymentRequirements = z.looseObject({
  scheme: z.string().describe("exact, upto or batch-settlement"),
  network,
  asset: address.describe("The token to pay in"),
  amount: wei.describe("What is signed for; with upto and batch-settlement what is charged can be less"),
  payTo: z.string(),
  maxTimeoutSeconds: z.number(),
  extra: z.record(z.string(), z.unknown()),
});

/** OpenAI's error, which every refusal has. */
const error = z.looseObject({
  error: z.looseObject({
    message: z.string(),
    type: z.string(),
    code: z.string().nullable().describe("Stable; of a payment that is refused, x402's reason"),
    param: z.null(),
  }),
});

const paymentRequired = error.extend({
  x402Version: z.literal(2),
  accepts: z.array(paymentRequirements).describe("The same as in the PAYMENT-REQUIRED header; sign one of them"),
  help: z.string(),
});

const proof = z.looseObject({
  receipt: signedReceiptSchema.describe("InferenceReceipt (EIP-712), signed by the node"),
  operator: address,
  signer: address.optional(),
});

const usage = z.looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });
const answer = { id: z.string(), created: seconds, model: z.string(), usage: usage.nullish() };

const chatCompletion = z.looseObject({
  ...answer,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.looseObject({
      index: z.int(),
      message: z.looseObject({ role: z.literal("assistant"), content: z.string().nullable() }),
      finish_reason: z.string().nullable(),
    }),
  ),
  opengradient: proof,
});

const textCompletion = z.looseObject({
  ...answer,
  object: z.literal("text_completion"),
  completion: z.string().describe("The text, where OpenGradient's SDKs read it"),
  choices: z.array(z.looseObject({ index: z.int(), text: z.string(), finish_reason: z.string().nullable() })),
  opengradient: proof,
});

const tensors = z.record(z.string(), z.unknown()).describe("Tensors by name: nested arrays of numbers");

const inferenceRequest = z.looseObject({
  model: z.string(),
  inputs: tensors,
  mode: z
    .string()
    .optional()
    .describe("vanilla, zkml or tee, of the model's `modes`; default: as the node is. zkml: the proof follows"),
});

const inference = z.looseObject({
  id: z.string(),
  object: z.literal("inference"),
  created: seconds,
  model: z.string(),
  outputs: tensors,
  opengradient: proof,
});

const modelList = z.looseObject({
  object: z.literal("list"),
  data: z.array(
    z.looseObject({
      id: z.string(),
      object: z.literal("model"),
      created: z.int(),
      owned_by: z.string(),
      opengradient: z.looseObject({
        modelId: bytes32Schema,
        kind: z.enum(["chat", "onnx"]),
        modes: z.array(z.int().min(0).max(2)).describe("0 vanilla, 1 zkML, 2 TEE"),
        asset: address,
        payTo: address,
        operator: address,
      }),
    }),
  ),
});

const health = z.looseObject({
  status: z.enum(["ok", "degraded"]),
  network,
  settlement: address,
  nodes: z.array(z.looseObject({ url: z.string(), up: z.boolean() })),
  requests: z.record(z.string(), z.int()),
});

const settlement = z.object({
  requestId: bytes32Schema,
  state: z
    .enum(["waiting", "batched", "posted", "final", "rejected"])
    .describe("in no batch; in one that is on its way; on chain; final; proven wrong, so that it settles nothing"),
  batchId: bytes32Schema.optional(),
  walrusBlobId: z.string().optional().describe("Holds the batch; from `posted` on"),
  transaction: bytes32Schema.nullable().optional().describe("That posted the batch; null when it is not known"),
});

const answerProof = z.looseObject({
  requestId: bytes32Schema,
  status: z.enum(["pending", "failed", "proven"]),
  ahead: z.int().optional().describe("Proofs that are made before it"),
  reason: z.string().optional().describe("Why there will be none"),
  modelId: bytes32Schema.optional(),
  tensors: tensorsSchema
    .optional()
    .describe(
      "Packed inputs and outputs, whose keccak256 are the receipt's hashes, and the Groth16 proof over bn254; G2's imaginary parts first",
    ),
  verifyingKey: z.looseObject({}).optional().describe("Its digest is the keyHash of the shape's verifier on chain"),
});

/** Every named shape of the gateway's API. */
export const gatewaySchemas = z.registry<{ id: string }>();

const NAMED = {
  ChatRequest: chatRequestSchema,
  CompletionRequest: completionRequestSchema,
  InferenceRequest: inferenceRequest,
  ChatCompletion: chatCompletion,
  TextCompletion: textCompletion,
  Inference: inference,
  Proof: proof,
  SignedReceipt: signedReceiptSchema,
  PaymentRequirements: paymentRequirements,
  PaymentRequired: paymentRequired,
  Error: error,
  Settlement: settlement,
  AnswerProof: answerProof,
  ModelList: modelList,
  Health: health,
} satisfies Record<string, z.ZodType>;

export type GatewaySchema = keyof typeof NAMED;

for (const [id, schema] of Object.entries(NAMED)) gatewaySchemas.add(schema, { id });
