import { randomBytes } from "node:crypto";
import { authorizationTypes } from "@x402/evm";
import type { BenchPayer } from "./payers.ts";
import { chainIdOf, paidRequest, type Terms } from "./terms.ts";
import { typedDigest } from "./typedDigest.ts";

/** Requests paid by `exact`: an ERC-3009 authorization each. */
export function exactPayments(terms: Terms, payer: BenchPayer): (count: number) => Buffer[] {
  const { asset, amount, payTo, maxTimeoutSeconds, extra } = terms.accepted;
  const domain = {
    name: String(extra.name),
    version: String(extra.version),
    chainId: chainIdOf(terms),
    verifyingContract: asset,
  };
  const digestOf = typedDigest(domain, authorizationTypes, "TransferWithAuthorization");
  return (count) => {
    const validBefore = String(Math.floor(Date.now() / 1_000) + maxTimeoutSeconds);
    return Array.from({ length: count }, () => {
      const nonce = `0x${randomBytes(32).toString("hex")}`;
      const authorization = { from: payer.address, to: payTo, value: amount, validAfter: "0", validBefore, nonce };
      return paidRequest(terms, { authorization, signature: payer.sign(digestOf(authorization)) });
    });
  };
}
