import { toFacilitatorEvmSigner } from "@x402/evm";
import { createWalletClient, defineChain, http, parseTransaction, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import type { Hex } from "../../../simulator/receipts/types.ts";

type Transaction = Hex | { to: Hex; data: Hex; gas?: bigint };

/** A facilitator's wallet as viem makes it, in the shapes that x402's packages want. */
export function facilitatorWallet(url: string, chainId: number, privateKey: Hex) {
  const chain = defineChain({
    id: chainId,
    name: "local",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  const account = privateKeyToAccount(privateKey);
  const client = createWalletClient({ account, chain, transport: http(), pollingInterval: 10 }).extend(publicActions);
  const signer = toFacilitatorEvmSigner({ ...client, address: account.address } as never);

  /** Sends the payer's signed approval, for whose gas it gives the payer ether, then the settlement. */
  const sendTransactions = async (transactions: readonly Transaction[], payer: Hex): Promise<Hex[]> => {
    const hashes: Hex[] = [];
    const mined = async (hash: Hex) => {
      await client.waitForTransactionReceipt({ hash });
      return hash;
    };
    for (const transaction of transactions) {
      if (typeof transaction === "string") {
        const { gas = 0n, maxFeePerGas = 0n } = parseTransaction(transaction);
        await mined(await client.sendTransaction({ to: payer, value: gas * maxFeePerGas }));
        hashes.push(await mined(await client.sendRawTransaction({ serializedTransaction: transaction })));
      } else {
        hashes.push(await mined(await client.sendTransaction(transaction)));
      }
    }
    return hashes;
  };
  return {
    signer,
    readContract: client.readContract,
    /** The wallet that sponsors one payer's approvals. */
    sponsorOf: (payer: Hex) => ({
      ...signer,
      sendTransactions: (transactions: readonly Transaction[]) => sendTransactions(transactions, payer),
    }),
  };
}
