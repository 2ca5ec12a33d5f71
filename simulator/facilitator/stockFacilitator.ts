import { x402Facilitator } from "@x402/core/facilitator";
import type { Network } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS, x402UptoPermit2ProxyAddress } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/facilitator";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { UptoEvmScheme } from "@x402/evm/upto/facilitator";
import { createErc20ApprovalGasSponsoringExtension, EIP2612_GAS_SPONSORING } from "@x402/extensions";
import type { Provider } from "ethers";
import type { Logger } from "pino";
import type { Hex } from "../receipts/types.ts";
import { facilitatorSigner } from "./facilitatorSigner.ts";
import { MULTICALL3 } from "./multicall.ts";
import { PERMIT2 } from "./permit2.ts";

export interface StockFacilitatorOptions {
  network: Network;
  /** The account that pays the gas. */
  address: Hex;
  provider: Provider;
  /** Advertised to receivers that let the facilitator sign for them. */
  receiverAuthorizer: Hex | undefined;
  logger: Logger;
}

/** The x402 packages' facilitator, for what they verify and advertise: the schemes whose contracts the chain has. It sends nothing. */
export async function stockFacilitator(options: StockFacilitatorOptions): Promise<x402Facilitator> {
  const { network, address, provider, receiverAuthorizer, logger } = options;
  const send = (): never => {
    throw new Error("Verification sends no transactions");
  };
  const signer = facilitatorSigner({ address, provider, send });
  const has = async (...contracts: string[]): Promise<boolean> => {
    const codes = await Promise.all(contracts.map((contract) => provider.getCode(contract)));
    const missing = contracts.filter((_, index) => codes[index] === "0x");
    if (missing.length > 0) logger.warn({ network, missing }, "the chain lacks contracts of x402");
    return missing.length === 0;
  };
  const facilitator = new x402Facilitator().register(network, new ExactEvmScheme(signer));
  const permits = await has(PERMIT2, x402UptoPermit2ProxyAddress);
  if (permits) {
    facilitator
      .register(network, new UptoEvmScheme(signer))
      .registerExtension(EIP2612_GAS_SPONSORING)
      .registerExtension(createErc20ApprovalGasSponsoringExtension({ ...signer, sendTransactions: send }));
  }
  if (await has(BATCH_SETTLEMENT_ADDRESS, MULTICALL3)) {
    // what it would sign is signed before it becomes a job
    const authorizer = receiverAuthorizer && { address: receiverAuthorizer, signTypedData: send };
    facilitator.register(network, new BatchSettlementEvmScheme(signer, authorizer));
  }
  return facilitator;
}
