import { x402Client } from "@x402/core/client";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { hexlify, randomBytes, type BaseWallet } from "ethers";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { LocalChain } from "./localChain.ts";

export const requirementsFor = (chain: LocalChain, payTo: string, amount: bigint): PaymentRequirements => ({
  scheme: "exact",
  network: `eip155:${chain.chainId}`,
  asset: chain.asset,
  amount: amount.toString(),
  payTo,
  maxTimeoutSeconds: 3600,
  extra: { name: "OpenGradient", version: "1" },
});

type TypedDataTypes = Record<string, { name: string; type: string }[]>;

/** The unmodified x402 client, willing to spend OPG. */
export function stockX402Client(chain: LocalChain, payer: BaseWallet, maxWei = 10n ** 20n): x402Client {
  const network = `eip155:${chain.chainId}` as const;
  const signer = {
    address: payer.address as Hex,
    signTypedData: async (data: { domain: object; types: object; message: object }) => {
      const types = { ...(data.types as TypedDataTypes) };
      delete types.EIP712Domain;
      return (await payer.signTypedData(data.domain, types, data.message)) as Hex;
    },
  };
  return new x402Client().register(network, new ExactEvmScheme(signer)).setSpendControls({
    allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: maxWei.toString() }],
  });
}

/** A payment as the unmodified x402 client makes it. */
export const stockPayment = (
  chain: LocalChain,
  payer: BaseWallet,
  requirements: PaymentRequirements,
): Promise<PaymentPayload> =>
  stockX402Client(chain, payer).createPaymentPayload({
    x402Version: 2,
    resource: { url: "http://127.0.0.1/test" },
    accepts: [requirements],
  });

export interface AuthorizationFields {
  to: string;
  value: bigint;
  validAfter: bigint;
  validBefore: bigint;
  nonce: string;
}

/**
 * A payment with any terms, signed by hand: for what an honest client would not sign.
 * @param signedFor the chain that the signature is for.
 */
export async function craftedPayment(
  chain: LocalChain,
  payer: BaseWallet,
  requirements: PaymentRequirements,
  changes: Partial<AuthorizationFields> = {},
  signedFor = chain.chainId,
): Promise<PaymentPayload> {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const fields: AuthorizationFields = {
    to: requirements.payTo,
    value: BigInt(requirements.amount),
    validAfter: now - 600n,
    validBefore: now + 3600n,
    nonce: hexlify(randomBytes(32)),
    ...changes,
  };
  const signature = await payer.signTypedData(
    { name: "OpenGradient", version: "1", chainId: signedFor, verifyingContract: requirements.asset },
    {
      TransferWithAuthorization: [
        { name: "from", type: "address" },
        { name: "to", type: "address" },
        { name: "value", type: "uint256" },
        { name: "validAfter", type: "uint256" },
        { name: "validBefore", type: "uint256" },
        { name: "nonce", type: "bytes32" },
      ],
    },
    { from: payer.address, ...fields },
  );
  return {
    x402Version: 2,
    resource: { url: "http://127.0.0.1/test" },
    accepted: requirements,
    payload: {
      signature,
      authorization: {
        from: payer.address,
        to: fields.to,
        value: fields.value.toString(),
        validAfter: fields.validAfter.toString(),
        validBefore: fields.validBefore.toString(),
        nonce: fields.nonce,
      },
    },
  };
}
