import { putUint, putWord } from "./bytes.ts";
import { keccak256 } from "./keccak.ts";
import type { Hex, SettlementDomain } from "./types.ts";

/** What makes a paid request unique. */
export interface PaymentKey {
  /** Token contract. */
  asset: Hex;
  payer: Hex;
  /** 32 bytes: of an ERC-3009 authorization or a Permit2 permit, which are spent once, or the id of a payment channel. */
  nonce: Hex;
  /**
   * 32 bytes, absent for ERC-3009: which request of a permit or channel it is; see `PERMIT2_SCOPE`, `sessionScope` and `channelScope`.
   */
  scope?: Hex | undefined;
}

/** Scope of the one request that a Permit2 payment of the scheme `exact` buys. */
export const PERMIT2_SCOPE = keccak256("x402 exact Permit2");

const UPTO = keccak256("x402 upto");
const BATCH_SETTLEMENT = keccak256("x402 batch-settlement");

/** Scope of one request of an `upto` session: its hash, so that the client knows it without asking. */
export const sessionScope = (requestHash: Hex): Hex => tagged(UPTO, requestHash);

/** Scope of one request of a payment channel: a voucher buys one, and the same voucher may be tried with another when none was answered. */
export function channelScope(maxClaimableAmount: bigint, requestHash: Hex): Hex {
  const words = Buffer.alloc(64);
  putUint(words, 0, maxClaimableAmount, 128);
  putWord(words, 32, requestHash, 32);
  return tagged(BATCH_SETTLEMENT, keccak256(words));
}

/** A scope of one kind is none of another. */
function tagged(tag: Hex, hash: Hex): Hex {
  const words = Buffer.alloc(64);
  putWord(words, 0, tag, 32);
  putWord(words, 32, hash, 32);
  return keccak256(words);
}

/**
 * The nullifier of a request: keccak256(abi.encode(chainId, settlement, operator, unique)). The serving operator is in it, so that
 * no client can have two operators serve one id and frame them as duplicates.
 */
export function requestId(domain: SettlementDomain, operator: Hex, unique: Hex): Hex {
  const words = Buffer.alloc(128);
  putUint(words, 0, domain.chainId, 128);
  putWord(words, 32, domain.verifyingContract, 20);
  putWord(words, 64, operator, 20);
  putWord(words, 96, unique, 32);
  return keccak256(words);
}

/** requestId of a request paid by `payment`: unique = keccak256(abi.encode(asset, payer, nonce[, scope])). */
export function requestIdForPayment(domain: SettlementDomain, operator: Hex, payment: PaymentKey): Hex {
  const words = Buffer.alloc(payment.scope === undefined ? 96 : 128);
  putWord(words, 0, payment.asset, 20);
  putWord(words, 32, payment.payer, 20);
  putWord(words, 64, payment.nonce, 32);
  // one word longer, so that nobody can choose an ERC-3009 nonce for which another payment's request has the same id
  if (payment.scope !== undefined) putWord(words, 96, payment.scope, 32);
  return requestId(domain, operator, keccak256(words));
}
