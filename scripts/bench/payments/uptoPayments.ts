import { randomBytes } from "node:crypto";
import type { PaymentPayload } from "@x402/core/types";
import { PERMIT2_ADDRESS, uptoPermit2WitnessTypes, x402UptoPermit2ProxyAddress } from "@x402/evm";
import type { BenchPayer } from "./payers.ts";
import { chainIdOf, paidRequest, type Terms } from "./terms.ts";
import { typedDigest } from "./typedDigest.ts";

/** Makes permits for the most that a request, or a session of requests, may cost. */
function permits(terms: Terms, payer: BenchPayer): () => PaymentPayload["payload"] {
  const { asset, amount, payTo, maxTimeoutSeconds, extra } = terms.accepted;
  const domain = { name: "Permit2", chainId: chainIdOf(terms), verifyingContract: PERMIT2_ADDRESS };
  const digestOf = typedDigest(domain, uptoPermit2WitnessTypes, "PermitWitnessTransferFrom");
  const witness = { to: payTo, facilitator: String(extra.facilitatorAddress), validAfter: "0" };
  return () => {
    const permit = {
      permitted: { token: asset, amount },
      spender: x402UptoPermit2ProxyAddress,
      nonce: BigInt(`0x${randomBytes(32).toString("hex")}`).toString(),
      deadline: String(Math.floor(Date.now() / 1_000) + maxTimeoutSeconds),
      witness,
    };
    return { permit2Authorization: { from: payer.address, ...permit }, signature: payer.sign(digestOf(permit)) };
  };
}

/** Requests paid by `upto`, each with a Permit2 permit of its own, of which the server charges a part. */
export function uptoPayments(terms: Terms, payer: BenchPayer): (count: number) => Buffer[] {
  const permit = permits(terms, payer);
  return (count) => Array.from({ length: count }, () => paidRequest(terms, permit()));
}

/** Requests that share a permit. */
const SESSION_REQUESTS = 100;

/** Requests paid by `upto`, in sessions: one permit for many, which differ in their text. */
export function sessionPayments(
  terms: Terms,
  payer: BenchPayer,
  bodyOf: (text: string) => string,
): (count: number) => Buffer[] {
  const permit = permits(terms, payer);
  return (count) => {
    let payload = permit();
    return Array.from({ length: count }, (_, i) => {
      if (i > 0 && i % SESSION_REQUESTS === 0) payload = permit();
      return paidRequest({ ...terms, body: bodyOf(`Say hello, ${i}.`) }, payload);
    });
  };
}
