import { x402Client } from "@x402/core/client";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import {
  permit2WitnessTypes,
  uptoPermit2WitnessTypes,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyAddress,
} from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { MaxUint256, randomBytes, toBigInt, type BaseWallet, type TypedDataField } from "ethers";
import { privateKeyToAccount } from "viem/accounts";
import { PERMIT2 } from "../../../simulator/facilitator/permit2.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { LocalChain } from "./localChain.ts";
import { requirementsFor } from "./payments.ts";

/** Terms of a payment by Permit2: `exact`, or `upto` for that facilitator. */
export function permitRequirements(
  chain: LocalChain,
  payTo: string,
  amount: bigint,
  facilitatorAddress?: string,
): PaymentRequirements {
  const terms = requirementsFor(chain, payTo, amount);
  const scheme = facilitatorAddress === undefined ? "exact" : "upto";
  const extra = { ...terms.extra, assetTransferMethod: "permit2", ...(facilitatorAddress && { facilitatorAddress }) };
  return { ...terms, scheme, extra };
}

/** Lets Permit2 move a payer's tokens. */
export async function approvePermit2(chain: LocalChain, payer: BaseWallet, amount = MaxUint256): Promise<void> {
  await (await chain.opg.connect(payer.connect(chain.provider)).approve(PERMIT2, amount)).wait();
}

/** A payment as the unmodified x402 client makes it, whatever the scheme. */
export function stockPermit(
  chain: LocalChain,
  payer: BaseWallet,
  requirements: PaymentRequirements,
  extensions: Record<string, unknown> = {},
): Promise<PaymentPayload> {
  const network = `eip155:${Number(chain.chainId)}` as const;
  const account = privateKeyToAccount(payer.privateKey as Hex);
  const options = { rpcUrl: chain.url };
  return new x402Client()
    .register(network, new ExactEvmScheme(account, options))
    .register(network, new UptoEvmScheme(account, options))
    .setSpendControls({ allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: MaxUint256.toString() }] })
    .createPaymentPayload({
      x402Version: 2,
      resource: { url: "http://127.0.0.1/test" },
      accepts: [requirements],
      ...(Object.keys(extensions).length > 0 && { extensions }),
    });
}

export interface PermitFields {
  token: string;
  amount: bigint;
  spender: string;
  nonce: bigint;
  deadline: bigint;
  to: string;
  facilitator: string;
  validAfter: bigint;
  /** Of the EIP-712 domain. */
  chainId: bigint;
  verifyingContract: string;
}

/** A payment by Permit2 with any terms, signed by hand: for what an honest client would not sign. */
export async function craftedPermit(
  chain: LocalChain,
  payer: BaseWallet,
  requirements: PaymentRequirements,
  changes: Partial<PermitFields> = {},
): Promise<PaymentPayload> {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const upTo = requirements.scheme === "upto";
  const fields: PermitFields = {
    token: requirements.asset,
    amount: BigInt(requirements.amount),
    spender: upTo ? x402UptoPermit2ProxyAddress : x402ExactPermit2ProxyAddress,
    nonce: toBigInt(randomBytes(32)),
    deadline: now + 3600n,
    to: requirements.payTo,
    facilitator: String(requirements.extra.facilitatorAddress),
    validAfter: now - 600n,
    chainId: chain.chainId,
    verifyingContract: PERMIT2,
    ...changes,
  };
  const { token, amount, spender, nonce, deadline, to, facilitator, validAfter, chainId, verifyingContract } = fields;
  const signature = await payer.signTypedData(
    { name: "Permit2", chainId, verifyingContract },
    (upTo ? uptoPermit2WitnessTypes : permit2WitnessTypes) as unknown as Record<string, TypedDataField[]>,
    { permitted: { token, amount }, spender, nonce, deadline, witness: { to, facilitator, validAfter } },
  );
  return {
    x402Version: 2,
    resource: { url: "http://127.0.0.1/test" },
    accepted: requirements,
    payload: {
      signature,
      permit2Authorization: {
        from: payer.address,
        permitted: { token, amount: amount.toString() },
        spender,
        nonce: nonce.toString(),
        deadline: deadline.toString(),
        witness: { to, ...(upTo && { facilitator }), validAfter: validAfter.toString() },
      },
    },
  };
}
