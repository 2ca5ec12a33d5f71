import type { PaymentPayload } from "@x402/core/types";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { SETTLEMENT_HEADERS, settlementTypeOf } from "../../receipts/settlementType.ts";
import type { Hex } from "../../receipts/types.ts";
import { decodePayment } from "../../gateway/http/paymentHeader.ts";
import { contentOf, dataJobId, settlementDataSchema, statementOf } from "../data/dataStatement.ts";
import { DataConflictError, type DataJobStore, type NewDataJob } from "../data/DataJobStore.ts";
import type { DataSettler } from "../data/DataSettler.ts";
import { HeartbeatError, heartbeatSchema, type HeartbeatRelay } from "../data/HeartbeatRelay.ts";
import type { TeeStatementCheck } from "../data/TeeStatementCheck.ts";
import type { Facilitator } from "../Facilitator.ts";
import { PaymentError } from "../PaymentError.ts";
import type { PaymentJob } from "../PaymentStore.ts";
import { FacilitatorHttpError } from "./FacilitatorHttpError.ts";
import { dataJobView } from "./jobViews.ts";
import type { Operator } from "./Operators.ts";

export const SETTLEMENT_DATA = "x-settlement-data";
export const PAYMENT_KEY = "x-payment-key";
const DAY_MS = 86_400_000;
const MAX_DAYS = 366;

/** What OpenGradient's own endpoints need; without it a facilitator has only x402's. */
export interface DataSettlement {
  jobs: DataJobStore;
  settler: DataSettler;
  check: TeeStatementCheck;
  /** Without it `/heartbeat` is not served. */
  heartbeats?: HeartbeatRelay;
}

export interface DataRoutesOptions extends DataSettlement {
  facilitator: Pick<Facilitator, "job" | "store">;
  /** Who sends a request. @throws FacilitatorHttpError 401 */
  operatorOf: (request: FastifyRequest) => Operator;
}

const usageQuery = z.object({
  days: z
    .string()
    .regex(/^\d{1,3}$/, "expected a number of days")
    .transform(Number)
    .refine((days) => days >= 1 && days <= MAX_DAYS, `expected 1 to ${MAX_DAYS} days`)
    .default(30),
});

/** `POST /settle_data`, `POST /heartbeat` and `GET /usage`. */
export function addDataRoutes(app: FastifyInstance, options: DataRoutesOptions): void {
  const { jobs, settler, check, heartbeats, operatorOf } = options;

  app.post("/settle_data", async (request, reply) => {
    const operator = operatorOf(request);
    const type = settlementType(request);
    const data = settlementDataSchema.parse(settlementData(request));
    const payment = await paymentOf(request, options);
    requireOwn(operator, payment);
    const statement = statementOf(data);
    const content = type === "individual" ? contentOf(data) : undefined;
    if (content && "mismatch" in content) {
      const what = content.mismatch;
      throw what === "missing"
        ? new FacilitatorHttpError(400, "missing_content", "Expected `input` and `output` of an individual settlement")
        : new FacilitatorHttpError(
            400,
            "content_mismatch",
            `The ${what} is not what the enclave signed: its hash differs from ${what}_hash`,
          );
    }
    const job: NewDataJob = {
      id: dataJobId(payment.key, statement, payment.requirements.scheme !== "exact"),
      operator: operator.name,
      type,
      payment: payment.key,
      statement,
      ...(content && { content }),
      nowMs: Date.now(),
    };
    // the chain is asked only about what is new
    if ((await jobs.find(job.id)) === undefined && !(await check.isSigned(statement))) {
      const message = "No enclave that the registry held for live at the time signed this statement";
      throw new FacilitatorHttpError(403, "invalid_tee_signature", message);
    }
    const added = await jobs.add(job).catch(conflict);
    settler.wake();
    return reply.code(202).send({ settlementJob: dataJobView(added) });
  });

  app.get("/usage", async (request) => {
    const operator = operatorOf(request);
    const { days } = usageQuery.parse(request.query);
    const since = Math.floor(Date.now() / DAY_MS) * DAY_MS - (days - 1) * DAY_MS;
    const found = await jobs.usage(operator.name, since);
    return {
      operator: operator.name,
      days,
      usage: found.map(({ chargedWei, ...day }) => ({ ...day, chargedWei: chargedWei.toString() })),
    };
  });

  if (heartbeats === undefined) return;
  app.post("/heartbeat", async (request) => {
    operatorOf(request);
    const heartbeat = heartbeatSchema.parse(request.body);
    const { txHash, relayer, contract } = await heartbeats.relay(heartbeat).catch((error: unknown) => {
      if (!(error instanceof HeartbeatError)) throw error;
      throw new FacilitatorHttpError(HEARTBEAT_STATUS[error.code] ?? 400, error.code, error.message);
    });
    const { teeId, timestamp } = heartbeat;
    return { success: true, txHash, teeId, timestamp: timestamp.toString(), relayer, contract };
  });
}

const HEARTBEAT_STATUS: Partial<Record<HeartbeatError["code"], number>> = {
  unknown_enclave: 404,
  enclave_not_live: 409,
  heartbeat_under_way: 409,
  refused_by_registry: 409,
  invalid_signature: 403,
};

function settlementType({ headers }: FastifyRequest): NewDataJob["type"] {
  const name = SETTLEMENT_HEADERS.map((header) => headers[header]).find((value) => value !== undefined) ?? "batch";
  const type = settlementTypeOf(String(name));
  if (type !== undefined) return type;
  throw new FacilitatorHttpError(
    400,
    "unknown_settlement_type",
    "Expected x-settlement-type: private, batch or individual",
  );
}

/** From the header, or, where it is too long for one, from the body. */
function settlementData({ headers, body }: FastifyRequest): unknown {
  const header = headers[SETTLEMENT_DATA];
  if (header === undefined) return body ?? {};
  try {
    return decodePayment(String(header));
  } catch (error) {
    if (!(error instanceof PaymentError)) throw error;
    throw new FacilitatorHttpError(400, "invalid_settlement_data", error.message);
  }
}

/** The payment a report names, which has to be one of ours that is paid or will be. */
async function paymentOf({ headers }: FastifyRequest, { facilitator }: DataRoutesOptions): Promise<PaymentJob> {
  const [signature, key] = [headers["payment-signature"], headers[PAYMENT_KEY]];
  if (signature === undefined && key === undefined) {
    const message = `Expected the payment of the answer: its PAYMENT-SIGNATURE, or its key as ${PAYMENT_KEY}`;
    throw new FacilitatorHttpError(402, "payment_required", message);
  }
  const found =
    signature === undefined
      ? await facilitator.store.find(String(key))
      : await jobOfSignature(String(signature), facilitator);
  if (found === undefined || found.status === "dead") {
    const message =
      found === undefined
        ? "This facilitator knows no such payment"
        : `The payment cannot be charged: ${found.reason ?? "dead"}`;
    throw new FacilitatorHttpError(402, found === undefined ? "payment_unknown" : "payment_dead", message);
  }
  return found;
}

async function jobOfSignature(
  header: string,
  facilitator: DataRoutesOptions["facilitator"],
): Promise<PaymentJob | undefined> {
  try {
    const payload = envelope.parse(decodePayment(header)) as unknown as PaymentPayload;
    const job = await facilitator.job(payload, payload.accepted);
    // the same nonce under another signature is somebody else's word
    return job !== undefined && signatureOf(job.payload) === signatureOf(payload) ? job : undefined;
  } catch (error) {
    if (error instanceof PaymentError || error instanceof z.ZodError) {
      throw new FacilitatorHttpError(400, "invalid_payload", error.message);
    }
    throw error;
  }
}

const envelope = z.looseObject({ accepted: z.looseObject({}), payload: z.looseObject({}) });

const signatureOf = ({ payload }: PaymentPayload): string =>
  JSON.stringify(payload["signature"] ?? payload).toLowerCase();

function requireOwn({ payTo }: Operator, { requirements }: PaymentJob): void {
  if (payTo === undefined || payTo.includes(requirements.payTo.toLowerCase() as Hex)) return;
  throw new FacilitatorHttpError(403, "not_your_payment", "The payment goes to somebody else");
}

function conflict(error: unknown): never {
  if (error instanceof DataConflictError) throw new FacilitatorHttpError(409, error.code, error.message);
  throw error;
}
