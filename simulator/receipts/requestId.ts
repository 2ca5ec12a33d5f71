import { putUint, putWord } from "./bytes.ts";
import { keccak256 } from "./keccak.ts";
import type { Hex, SettlementDomain } from "./types.ts";

/** What makes an x402 `exact` payment by ERC-3009 unique: a token spends a payer's nonce once. */
export interface PaymentKey {
  /** Token contract. */
  asset: Hex;
  payer: Hex;
  /** 32 bytes, chosen by the payer. */
  nonce: Hex;
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

/** requestId of a request paid by `payment`: unique = keccak256(abi.encode(asset, payer, nonce)). */
export function requestIdForPayment(domain: SettlementDomain, operator: Hex, payment: PaymentKey): Hex {
  const words = Buffer.alloc(96);
  putWord(words, 0, payment.asset, 20);
  putWord(words, 32, payment.payer, 20);
  putWord(words, 64, payment.nonce, 32);
  return requestId(domain, operator, keccak256(words));
}
