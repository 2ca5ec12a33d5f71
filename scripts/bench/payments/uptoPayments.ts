import { randomBytes } from "node:crypto";
import { PERMIT2_ADDRESS, uptoPermit2WitnessTypes, x402UptoPermit2ProxyAddress } from "@x402/evm";
import type { BenchPayer } from "./payers.ts";
import { chainIdOf, paidRequest, type Terms } from "./terms.ts";
import { typedDigest } from "./typedDigest.ts";

/** Requests paid by `upto`: a Permit2 permit each, of which the server charges a part. */
export function uptoPayments(terms: Terms, payer: BenchPayer): (count: number) => Buffer[] {
  const { asset, amount, payTo, maxTimeoutSeconds, extra } = terms.accepted;
  const domain = { name: "Permit2", chainId: chainIdOf(terms), verifyingContract: PERMIT2_ADDRESS };
  const digestOf = typedDigest(domain, uptoPermit2WitnessTypes, "PermitWitnessTransferFrom");
  const witness = { to: payTo, facilitator: String(extra.facilitatorAddress), validAfter: "0" };
  return (count) => {
    const deadline = String(Math.floor(Date.now() / 1_000) + maxTimeoutSeconds);
    return Array.from({ length: count }, () => {
      const permit = {
        permitted: { token: asset, amount },
        spender: x402UptoPermit2ProxyAddress,
        nonce: BigInt(`0x${randomBytes(32).toString("hex")}`).toString(),
        deadline,
        witness,
      };
      const signature = payer.sign(digestOf(permit));
      return paidRequest(terms, { permit2Authorization: { from: payer.address, ...permit }, signature });
    });
  };
}
