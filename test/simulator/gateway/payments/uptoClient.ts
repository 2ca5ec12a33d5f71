import { x402Client } from "@x402/core/client";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { PERMIT2_ADDRESS, uptoPermit2WitnessTypes, x402UptoPermit2ProxyAddress } from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { type BaseWallet, getAddress, toBigInt, randomBytes } from "ethers";
import { privateKeyToAccount } from "viem/accounts";
import type { Hex } from "../../../../simulator/receipts/types.ts";
import type { LocalChain } from "../../facilitator/localChain.ts";

/** The unmodified x402 client with the schemes it is given, able to read the chain. */
export function stockClient(
  chain: LocalChain,
  payer: BaseWallet,
  schemes: readonly ("exact" | "upto")[] = ["upto"],
  maxWei = 10n ** 20n,
): x402Client {
  const network = `eip155:${chain.chainId}` as const;
  const account = privateKeyToAccount(payer.privateKey as Hex);
  const options = { rpcUrl: chain.url };
  const client = new x402Client();
  for (const scheme of schemes) {
    client.register(
      network,
      scheme === "upto" ? new UptoEvmScheme(account, options) : new ExactEvmScheme(account, options),
    );
  }
  return client.setSpendControls({
    allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: maxWei.toString() }],
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
  chainId: bigint;
}

/** An `upto` payment with any terms, signed by hand: for what an honest client would not sign. */
export async function craftedPermit(
  chain: LocalChain,
  payer: BaseWallet,
  requirements: PaymentRequirements,
  changes: Partial<PermitFields> = {},
): Promise<PaymentPayload> {
  const fields: PermitFields = {
    token: requirements.asset,
    amount: BigInt(requirements.amount),
    spender: x402UptoPermit2ProxyAddress,
    nonce: toBigInt(randomBytes(32)),
    deadline: BigInt(Math.floor(Date.now() / 1000)) + 3_600n,
    to: requirements.payTo,
    facilitator: requirements.extra?.facilitatorAddress as string,
    validAfter: 0n,
    chainId: chain.chainId,
    ...changes,
  };
  const [token, spender, to, facilitator] = [fields.token, fields.spender, fields.to, fields.facilitator].map((a) =>
    getAddress(a),
  ) as [string, string, string, string];
  const signature = await payer.signTypedData(
    { name: "Permit2", chainId: fields.chainId, verifyingContract: PERMIT2_ADDRESS },
    Object.fromEntries(Object.entries(uptoPermit2WitnessTypes).map(([name, members]) => [name, [...members]])),
    {
      permitted: { token, amount: fields.amount },
      spender,
      nonce: fields.nonce,
      deadline: fields.deadline,
      witness: { to, facilitator, validAfter: fields.validAfter },
    },
  );
  return {
    x402Version: 2,
    resource: { url: "http://127.0.0.1/test" },
    accepted: requirements,
    payload: {
      signature,
      permit2Authorization: {
        from: payer.address,
        permitted: { token, amount: fields.amount.toString() },
        spender,
        nonce: fields.nonce.toString(),
        deadline: fields.deadline.toString(),
        witness: { to, facilitator, validAfter: fields.validAfter.toString() },
      },
    },
  };
}
