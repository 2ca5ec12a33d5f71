import { ethers, type BaseWallet, type Signer } from "ethers";

import { RECEIPT_TYPES } from "../../simulator/receipts/eip712.ts";
import type { InferenceEscrow } from "../../typechain-types/index.ts";
import { authorizationArguments, signAuthorization } from "./authorizations.ts";
import {
  domainOf,
  HOUR,
  latestTimestamp,
  opgWei,
  publishModel,
  registerNode,
  testKey,
  type Protocol,
} from "./protocol.ts";
import { deployStage, type Stage } from "./stage.ts";

export const PRICE = opgWei(2);
export const ROYALTY_BPS = 1_000;
export const PROTOCOL_BPS = 100;

/** `Request` of IInferenceEscrow with every field resolved. */
export interface EscrowRequest {
  payer: string;
  operator: string;
  modelId: string;
  inputHash: string;
  inputBlobId: string;
  maxFee: bigint;
  deadline: bigint;
  mode: number;
  royaltyTo: string;
  royaltyBps: number;
  salt: string;
}

/** What an operator answers a request with. */
export interface Answer {
  outputHash: string;
  outputBlobId: string;
  fee: bigint;
  servedAt: bigint;
}

/** A stage with a model of `modelOwner` and a node of `operator` whose receipts `key` signs. */
export type EscrowStage = Stage & { modelId: string; nodeId: string; key: BaseWallet };

/** The part of a stage that requests and answers take. */
export type EscrowParts = Protocol &
  Pick<Stage, "payer" | "operator" | "modelOwner" | "relayer"> &
  Pick<EscrowStage, "modelId" | "key">;

export async function deployEscrowStage(): Promise<EscrowStage> {
  const stage = await deployStage();
  const key = testKey(1);
  const modelId = await publishModel(stage, stage.modelOwner, { price: PRICE, royaltyBps: ROYALTY_BPS });
  return { ...stage, modelId, key, nodeId: await registerNode(stage, stage.operator, key) };
}

/** A request of `payer` to `operator` that can be locked; equal labels make equal requests. */
export async function requestOf(
  stage: EscrowParts,
  change: Partial<EscrowRequest> = {},
  label = "request",
): Promise<EscrowRequest> {
  return {
    payer: stage.payer.address,
    operator: stage.operator.address,
    modelId: stage.modelId,
    inputHash: ethers.id("input"),
    inputBlobId: ethers.id("input blob"),
    maxFee: opgWei(10),
    deadline: BigInt((await latestTimestamp(stage)) + HOUR),
    mode: 0,
    royaltyTo: stage.modelOwner.address,
    royaltyBps: ROYALTY_BPS,
    salt: ethers.id(label),
    ...change,
  };
}

/** Locks a fresh request and returns it. */
export async function lockedRequest(
  stage: EscrowParts,
  change: Partial<EscrowRequest> = {},
  label?: string,
): Promise<EscrowRequest> {
  const request = await requestOf(stage, change, label);
  await stage.escrow.connect(stage.payer).lock(request);
  return request;
}

/** An answer served in the latest block. */
export async function answerTo(stage: EscrowParts, change: Partial<Answer> = {}): Promise<Answer> {
  return {
    outputHash: ethers.id("output"),
    outputBlobId: ethers.id("output blob"),
    fee: opgWei(10),
    servedAt: BigInt(await latestTimestamp(stage)),
    ...change,
  };
}

/** The receipt of `answer`, signed under the settlement's domain unless told otherwise. */
export async function signReceipt(
  stage: EscrowParts,
  request: EscrowRequest,
  answer: Answer,
  {
    signer = stage.key,
    domain,
    escrow = stage.escrow,
  }: {
    signer?: BaseWallet;
    domain?: ethers.TypedDataDomain;
    escrow?: InferenceEscrow;
  } = {},
): Promise<{ r: string; vs: string }> {
  const receipt = {
    requestId: await escrow.requestIdOf(request),
    modelId: request.modelId,
    mode: request.mode,
    inputHash: request.inputHash,
    outputHash: answer.outputHash,
    payer: request.payer,
    fee: answer.fee,
    servedAt: answer.servedAt,
  };
  const text = await signer.signTypedData(domain ?? (await domainOf(stage.settlement)), RECEIPT_TYPES, receipt);
  const { r, yParityAndS: vs } = ethers.Signature.from(text);
  return { r, vs };
}

/** Brings an answer, by the relayer; with an honest receipt unless one is given. */
export async function fulfil(
  stage: EscrowParts,
  request: EscrowRequest,
  answer: Answer,
  signature?: { r: string; vs: string },
) {
  const { outputHash, outputBlobId, fee, servedAt } = answer;
  const sig = signature ?? (await signReceipt(stage, request, answer));
  return stage.escrow.connect(stage.relayer).fulfil(request, outputHash, outputBlobId, fee, servedAt, sig);
}

/** Locks by the ERC-3009 authorization of `signer`, whose nonce is the request's id unless told otherwise. */
export async function lockByAuthorization(
  stage: EscrowParts,
  request: EscrowRequest,
  {
    signer = stage.payer,
    nonce,
    value = request.maxFee,
    validAfter = 0n,
    validBefore = 2n ** 40n,
  }: {
    signer?: Signer;
    nonce?: string;
    value?: bigint;
    validAfter?: bigint;
    validBefore?: bigint;
  } = {},
) {
  const authorization = {
    from: request.payer,
    to: await stage.escrow.getAddress(),
    value,
    validAfter,
    validBefore,
    nonce: nonce ?? (await stage.escrow.requestIdOf(request)),
  };
  const signature = await signAuthorization(stage.opg, signer, "ReceiveWithAuthorization", authorization);
  const [, , , , , , v, r, s] = authorizationArguments(authorization, signature);
  return stage.escrow.connect(stage.relayer).lockWithAuthorization(request, validAfter, validBefore, v, r, s);
}

export const LockStatus = { None: 0n, Locked: 1n, Fulfilled: 2n, Refunded: 3n } as const;
