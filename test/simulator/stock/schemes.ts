import { x402Client } from "@x402/core/client";
import type { PaymentRequirements } from "@x402/core/types";
import { toClientEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import type OpenAI from "openai";
import { createPublicClient, http } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { costOf, FEE, type StockWorld } from "./StockWorld.ts";

/** A client, and what its user does to have back what is left. */
export interface StockPayer {
  client: x402Client;
  finish?: () => Promise<unknown>;
}

/** A way to pay, as a user of x402's packages sets it up. */
export interface StockScheme {
  name: string;
  payer: (world: StockWorld, account: PrivateKeyAccount) => StockPayer;
  /** What an answer of the parrot costs. */
  cost: (answer: { usage?: OpenAI.CompletionUsage | null | undefined }) => bigint;
}

const isPermit2 = ({ extra }: PaymentRequirements): boolean => extra.assetTransferMethod === "permit2";

/** `rpcUrl` is what x402's client reads the allowance and the permit's nonce with: its payers here have no allowance and no ETH. */
export const STOCK_SCHEMES: readonly StockScheme[] = [
  {
    name: "exact by ERC-3009",
    payer: (world, account) => ({
      client: new x402Client()
        .register(world.network, new ExactEvmScheme(account))
        .registerPolicy((_version, offers) => offers.filter((offer) => !isPermit2(offer)))
        .setSpendControls(world.spendControls),
    }),
    cost: () => FEE,
  },
  {
    name: "exact by Permit2, without allowance or ETH",
    payer: (world, account) => ({
      client: new x402Client()
        .register(world.network, new ExactEvmScheme(account, { rpcUrl: world.chain.url }))
        .registerPolicy((_version, offers) => offers.filter(isPermit2))
        .setSpendControls(world.spendControls),
    }),
    cost: () => FEE,
  },
  {
    name: "upto, without allowance or ETH",
    payer: (world, account) => ({
      client: new x402Client()
        .register(world.network, new UptoEvmScheme(account, { rpcUrl: world.chain.url }))
        .setSpendControls(world.spendControls),
    }),
    cost: costOf,
  },
  {
    name: "batch-settlement, without ETH",
    payer: (world, account) => {
      const reader = createPublicClient({ transport: http(world.chain.url) });
      const scheme = new BatchSettlementEvmScheme(toClientEvmSigner(account, reader));
      return {
        client: new x402Client().register(world.network, scheme).setSpendControls(world.spendControls),
        finish: () => scheme.refund(`${world.baseUrl}/chat/completions`),
      };
    },
    cost: costOf,
  },
];
