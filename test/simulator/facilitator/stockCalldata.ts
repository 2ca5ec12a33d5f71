import { x402Facilitator } from "@x402/core/facilitator";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { UptoEvmScheme } from "@x402/evm/upto/facilitator";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/facilitator";
import { EIP2612_GAS_SPONSORING } from "@x402/extensions";
import { facilitatorSigner } from "../../../simulator/facilitator/facilitatorSigner.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { LocalChain } from "./localChain.ts";

/** The call that the unmodified x402 facilitator would send to settle a payment; nothing is sent. */
export async function stockCalldata(
  chain: LocalChain,
  address: string,
  payload: PaymentPayload,
  requirements: PaymentRequirements,
): Promise<{ to: Hex; data: Hex } | undefined> {
  let sent: { to: Hex; data: Hex } | undefined;
  const signer = facilitatorSigner({
    address: address as Hex,
    provider: chain.provider,
    send: (call) => {
      sent = call;
      throw new Error("not sent");
    },
  });
  const network = `eip155:${Number(chain.chainId)}` as const;
  await new x402Facilitator()
    .register(network, new ExactEvmScheme(signer))
    .register(network, new UptoEvmScheme(signer))
    .register(network, new BatchSettlementEvmScheme(signer))
    .registerExtension(EIP2612_GAS_SPONSORING)
    .settle(payload, requirements);
  return sent;
}
