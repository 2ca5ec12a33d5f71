import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import {
  authorizationTypes,
  permit2WitnessTypes,
  uptoPermit2WitnessTypes,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyAddress,
} from "@x402/evm";
import { ethers } from "ethers";
import { PERMIT2 } from "../../../simulator/facilitator/permit2.ts";

export interface SettlementPayments {
  kind: "eip3009" | "permit2" | "upto";
  count: number;
  chainId: bigint;
  asset: string;
  payer: ethers.Wallet;
  payTo: string;
  amount: bigint;
  facilitator: string;
}

type Types = Record<string, ethers.TypedDataField[]>;

/** Signed payments, each with a nonce of its own. */
export function payments(
  options: SettlementPayments,
): Promise<{ payload: PaymentPayload; requirements: PaymentRequirements }[]> {
  const { kind, chainId, asset, amount, payTo, facilitator } = options;
  const requirements: PaymentRequirements = {
    scheme: kind === "upto" ? "upto" : "exact",
    network: `eip155:${chainId}`,
    asset,
    amount: amount.toString(),
    payTo,
    maxTimeoutSeconds: 3_600,
    extra: {
      name: "OpenGradient",
      version: "1",
      ...(kind !== "eip3009" && { assetTransferMethod: "permit2" }),
      ...(kind === "upto" && { facilitatorAddress: facilitator }),
    },
  };
  const sign = kind === "eip3009" ? signTransfer : signPermit;
  return Promise.all(
    Array.from({ length: options.count }, async () => {
      const payload = await sign(options);
      return {
        payload: { x402Version: 2, resource: { url: "http://bench.test/" }, accepted: requirements, payload },
        requirements,
      };
    }),
  );
}

async function signTransfer({
  payer,
  payTo,
  amount,
  chainId,
  asset,
}: SettlementPayments): Promise<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1000);
  const authorization = {
    from: payer.address,
    to: payTo,
    value: amount.toString(),
    validAfter: String(now - 600),
    validBefore: String(now + 3_600),
    nonce: ethers.hexlify(ethers.randomBytes(32)),
  };
  const domain = { name: "OpenGradient", version: "1", chainId, verifyingContract: asset };
  const signature = await payer.signTypedData(domain, authorizationTypes as unknown as Types, authorization);
  return { signature, authorization };
}

async function signPermit(options: SettlementPayments): Promise<Record<string, unknown>> {
  const { kind, payer, payTo, amount, chainId, asset, facilitator } = options;
  const now = Math.floor(Date.now() / 1000);
  const permit = {
    permitted: { token: asset, amount: amount.toString() },
    spender: kind === "upto" ? x402UptoPermit2ProxyAddress : x402ExactPermit2ProxyAddress,
    nonce: ethers.toBigInt(ethers.randomBytes(32)).toString(),
    deadline: String(now + 3_600),
    witness: { to: payTo, ...(kind === "upto" && { facilitator }), validAfter: String(now - 600) },
  };
  const types = (kind === "upto" ? uptoPermit2WitnessTypes : permit2WitnessTypes) as unknown as Types;
  const signature = await payer.signTypedData({ name: "Permit2", chainId, verifyingContract: PERMIT2 }, types, permit);
  return { signature, permit2Authorization: { from: payer.address, ...permit } };
}
