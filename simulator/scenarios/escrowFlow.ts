import { MaxUint256, parseEther } from "ethers";

import type { RequestStruct } from "../../typechain-types/escrow/IInferenceEscrow.ts";
import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { delay } from "../chain/delay.ts";
import { LIQUIDATION_RISK_ID } from "../models/liquidationRisk.ts";
import { canonicalJson } from "../receipts/canonicalJson.ts";
import { toJson } from "../receipts/json.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { randomKey } from "../receipts/secp256k1.ts";
import { Mode, type Hex } from "../receipts/types.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";

/** InferenceEscrow's enum Status. */
const Status = { locked: 1n, fulfilled: 2n, refunded: 3n } as const;
const MAX_FEE = parseEther("0.05");
const ANSWER_SECONDS = 120;
const EXPIRY_SECONDS = 4;
const REFUND_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** What became of the two requests. */
export interface EscrowOutcome {
  fulfilled: boolean;
  refunded: boolean;
  /** What the consumer got back of the expired request, wei. */
  refundedWei: bigint;
  expectedRefundWei: bigint;
}

/** A request that is answered on chain, and one to an operator that does not serve it, which expires and is refunded. */
export async function runEscrowFlow(network: SimulatedNetwork): Promise<EscrowOutcome> {
  const { contracts, riskOperator, textOperator } = network;
  const { escrow } = contracts;
  const consumer = network.participant("consumer");
  await approveEscrow(network);

  const answered = await lock(network, plainRequest(network, riskOperator.account.address, ANSWER_SECONDS));
  const ignored = await lock(network, plainRequest(network, textOperator.account.address, EXPIRY_SECONDS));
  const fulfilled = await isFulfilled(network, answered.requestId, ANSWER_SECONDS * 1_000);

  const creditBefore = await escrow.credits(consumer.address);
  await refund(network, ignored.request);
  const refundedWei = (await escrow.credits(consumer.address)) - creditBefore;
  await consumer.send(escrow.claim.populateTransaction(consumer.address));
  const { status } = await escrow.locks(ignored.requestId);
  return { fulfilled, refunded: status === Status.refunded, refundedWei, expectedRefundWei: MAX_FEE };
}

/** Lets the escrow lock the consumer's OPG. */
async function approveEscrow(network: SimulatedNetwork): Promise<void> {
  const { opg, addresses } = network.contracts;
  await network.participant("consumer").send(opg.approve.populateTransaction(addresses.escrow, MaxUint256));
}

/** A request to lock, as a consumer thinks of it. */
export interface EscrowAsk {
  operator: Hex;
  /** To answer in. */
  seconds: number;
  modelId: Hex;
  mode: Mode;
  /** The body of the request. */
  input: Buffer;
  inputHash: Hex;
}

function plainRequest({ modelIds }: SimulatedNetwork, operator: Hex, seconds: number): EscrowAsk {
  const inputs = { positions: [[0.72, 0.8, 0.9, 0.01, -0.2, 0.06, 4.4, 21]] };
  const input = Buffer.from(canonicalJson(toJson({ model: LIQUIDATION_RISK_ID, inputs })));
  const modelId = modelIds.get(LIQUIDATION_RISK_ID)!;
  return { operator, seconds, modelId, mode: Mode.Vanilla, input, inputHash: keccak256(input) };
}

/** Locks a request of the consumer, who has approved the escrow. */
export async function lock(network: SimulatedNetwork, ask: EscrowAsk) {
  const { escrow, models } = network.contracts;
  const consumer = network.participant("consumer");
  const { operator, modelId, mode, input, inputHash, seconds } = ask;
  const { royaltyTo, royaltyBps } = await models.termsOf(modelId);
  const request = {
    payer: consumer.address,
    operator,
    modelId,
    inputHash,
    inputBlobId: await network.blobs().put(input),
    maxFee: MAX_FEE,
    deadline: (await chainTime(network)) + seconds,
    mode,
    royaltyTo,
    royaltyBps,
    salt: randomKey(),
  };
  const requestId = (await escrow.requestIdOf(request)) as Hex;
  await consumer.send(escrow.lock.populateTransaction(request));
  return { request, requestId };
}

/** Whether a request is answered on chain within the time. */
export async function isFulfilled(
  { contracts }: SimulatedNetwork,
  requestId: Hex,
  timeoutMs: number,
): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end) {
    const { status } = await contracts.escrow.locks(requestId);
    if (status === Status.fulfilled) return true;
    await delay(POLL_MS);
  }
  return false;
}

/** Refunds as soon as the chain lets: anyone may, and here it is not the consumer. */
async function refund(network: SimulatedNetwork, request: RequestStruct): Promise<void> {
  const { escrow } = network.contracts;
  const end = performance.now() + REFUND_TIMEOUT_MS;
  for (;;) {
    try {
      await network.participant("treasury").send(escrow.refund.populateTransaction(request));
      return;
    } catch (error) {
      const early = error instanceof ContractRevertError && error.errorName === "DeadlineOpen";
      if (!early || performance.now() > end) throw error;
      await delay(POLL_MS);
    }
  }
}

async function chainTime({ chain }: SimulatedNetwork): Promise<number> {
  const block = await chain.provider.getBlock("latest");
  return Math.max(block!.timestamp, Math.floor(Date.now() / 1_000));
}
