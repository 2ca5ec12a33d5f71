import { z } from "zod";
import type { SettlementHasher } from "../receipts/eip712.ts";
import { feeOf, type TokenUsage } from "../receipts/tariff.ts";
import { blindedHash } from "../ohttp/blindedHash.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import type { SettlementType } from "../receipts/settlementType.ts";
import {
  addressSchema,
  bytes32Schema,
  signedReceiptSchema,
  type Hex,
  type Receipt,
  type SignedReceipt,
} from "../receipts/types.ts";
import { GatewayError } from "./GatewayError.ts";
import type { PaidRequest } from "./StoredRequest.ts";

/** What a node adds to its answer, and the gateway passes on unchanged. */
export const proofSchema = z.object({
  receipt: signedReceiptSchema,
  operator: addressSchema,
  signer: addressSchema,
  salt: bytes32Schema.exactOptional(),
});

export interface InferenceProof {
  receipt: SignedReceipt;
  operator: Hex;
  signer: Hex;
  /** Of a private settlement: its receipt says the hashes blinded by it. */
  salt?: Hex;
}

/** An answer, or the last chunk of a stream, that carries the proof. */
export const answerSchema = z.looseObject({ opengradient: proofSchema });

/** What the gateway knows beforehand about the receipt of an answer; the output, and a sealed request's input, it leaves to the client. */
export type ExpectedReceipt = Pick<Receipt, "requestId" | "modelId" | "payer"> & {
  inputHash: Hex | undefined;
  /** What the client asked for. */
  settlement?: SettlementType | undefined;
};

/**
 * A node's mistake must not become a charge: the receipt has to be for this very request and signed by who it says.
 * @throws GatewayError 502 bad_receipt
 */
export function checkReceipt(hasher: SettlementHasher, proof: InferenceProof, expected: ExpectedReceipt): void {
  const { receipt, signature } = proof.receipt;
  for (const name of ["requestId", "modelId", "payer"] as const) {
    if (receipt[name] !== expected[name]) {
      throw badReceipt(`its ${name} is ${receipt[name]} instead of ${expected[name]}`);
    }
  }
  const inputHash = inputHashIn(proof, expected);
  if (inputHash !== undefined && receipt.inputHash !== inputHash) {
    throw badReceipt(`its inputHash is ${receipt.inputHash} instead of ${inputHash}`);
  }
  const signer = recoverAddress(hasher.receiptDigest(receipt), signature);
  if (signer !== proof.signer) throw badReceipt(`it is signed by ${signer ?? "nobody"} instead of ${proof.signer}`);
}

/** What the receipt has to say of the input; undefined where only the client can tell. */
function inputHashIn({ salt }: InferenceProof, { inputHash, settlement }: ExpectedReceipt): Hex | undefined {
  if (inputHash === undefined || settlement !== "private") return inputHash;
  if (salt === undefined) throw badReceipt("it is not blinded, as a private settlement's has to be");
  return blindedHash(salt, "input", inputHash);
}

/**
 * The fee of the receipt is what is charged: what was agreed, or by the tokens that the answer states. Those of a sealed one only the client
 * sees; its fee is at least held to what was reserved.
 * @throws GatewayError 502 bad_receipt
 */
export function checkFee(
  { receipt: { receipt } }: InferenceProof,
  usage: TokenUsage | undefined,
  { kind, tariff, amountWei }: Pick<PaidRequest, "kind" | "tariff" | "amountWei">,
): void {
  if (kind === "sealed" && tariff !== undefined) {
    const least = tariff.baseWei < amountWei ? tariff.baseWei : amountWei;
    if (receipt.fee >= least && receipt.fee <= amountWei) return;
    throw badReceipt(`its fee is ${receipt.fee} instead of ${least} to ${amountWei}`);
  }
  const fee = tariff === undefined ? amountWei : feeOf(tariff, usage, amountWei);
  if (receipt.fee !== fee) throw badReceipt(`its fee is ${receipt.fee} instead of ${fee}`);
}

const badReceipt = (why: string): GatewayError =>
  new GatewayError(502, "upstream_error", "bad_receipt", `The node's receipt does not fit the request: ${why}`);
