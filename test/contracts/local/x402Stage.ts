import { x402Client } from "@x402/core/client";
import { x402Facilitator } from "@x402/core/facilitator";
import { x402ResourceServer } from "@x402/core/server";
import type { FacilitatorClient } from "@x402/core/server";
import type { PaymentPayload, SettleResponse, SupportedResponse } from "@x402/core/types";
import { BatchSettlementEvmScheme as BatchClient } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as BatchFacilitator } from "@x402/evm/batch-settlement/facilitator";
import { BatchSettlementEvmScheme as BatchServer } from "@x402/evm/batch-settlement/server";
import { ExactEvmScheme as ExactClient } from "@x402/evm/exact/client";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { UptoEvmScheme as UptoClient } from "@x402/evm/upto/client";
import { UptoEvmScheme as UptoFacilitator } from "@x402/evm/upto/facilitator";
import { UptoEvmScheme as UptoServer } from "@x402/evm/upto/server";
import { createErc20ApprovalGasSponsoringExtension, EIP2612_GAS_SPONSORING } from "@x402/extensions";
import { wrapFetchWithPayment } from "@x402/fetch";
import { paymentMiddleware, setSettlementOverrides } from "@x402/hono";
import type { Wallet } from "ethers";
import { Hono } from "hono";
import { privateKeyToAccount } from "viem/accounts";

import type { Hex } from "../../../simulator/receipts/types.ts";
import type { OPG } from "../../../typechain-types/index.ts";
import { startLocalChain } from "../../simulator/chain/localChain.ts";
import { facilitatorWallet } from "./facilitatorWallet.ts";

/** One OPG. */
export const OPG_WEI = 10n ** 18n;

export interface Route {
  scheme: "exact" | "upto" | "batch-settlement";
  /** The most that one request may cost, in wei of OPG. */
  amount: bigint;
  /** What it costs, where the scheme lets that be less. */
  charge?: bigint;
  extra?: Record<string, unknown>;
  extensions?: Record<string, unknown>;
}

/** Client, seller and facilitator as x402 publishes them, around an embedded chain with OPG. */
export interface X402Stage {
  readonly opg: OPG;
  /** Holds 1,000 OPG and ether. */
  readonly payer: Wallet;
  readonly receiver: Wallet;
  readonly relay: Wallet;
  readonly batchServer: BatchServer;
  readonly batchClient: BatchClient;
  /** The facilitator, as the seller's server asks it. */
  readonly rail: FacilitatorClient;
  readonly network: `eip155:${number}`;
  /** What the facilitator answered to settlements, in order. */
  readonly settlements: SettleResponse[];
  /** Pays for a request to a route with the stock client. */
  request(route: Route): Promise<Response>;
  /** A fetch that reaches a shop with the route, without a network; it does not pay. */
  shopFor(route: Route): typeof fetch;
  /** The last payment that the client signed. */
  lastPayment(): PaymentPayload;
  rpc(method: string, ...params: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

function railOf(facilitator: x402Facilitator, settlements: SettleResponse[]): FacilitatorClient {
  return {
    verify: (payment, requirements) => facilitator.verify(payment, requirements),
    settle: async (payment, requirements) => {
      const response = await facilitator.settle(payment, requirements);
      settlements.push(response);
      return response;
    },
    getSupported: () => Promise.resolve(facilitator.getSupported() as SupportedResponse),
  };
}

export async function startX402Stage(): Promise<X402Stage> {
  const local = await startLocalChain();
  const { embedded, chain, wallets } = local;
  const [deployer, payer, receiver, relay] = wallets.map((wallet) => wallet.connect(chain.provider)) as [
    Wallet,
    Wallet,
    Wallet,
    Wallet,
  ];
  const opg = local.opg.connect(deployer);
  const asset = (await opg.getAddress()) as Hex;
  await (await opg.transfer(payer.address, 1_000n * OPG_WEI)).wait();

  const network = `eip155:${Number(chain.chainId)}` as const;
  const wallet = facilitatorWallet(embedded.url, Number(chain.chainId), relay.privateKey as Hex);
  const settlements: SettleResponse[] = [];
  const facilitator = new x402Facilitator()
    .register(network, new ExactFacilitator(wallet.signer))
    .register(network, new UptoFacilitator(wallet.signer))
    .register(network, new BatchFacilitator(wallet.signer))
    .registerExtension(EIP2612_GAS_SPONSORING)
    .registerExtension(createErc20ApprovalGasSponsoringExtension(wallet.sponsorOf(payer.address as Hex)));
  const rail = railOf(facilitator, settlements);

  const payTo = receiver.address as Hex;
  const batchServer = new BatchServer(payTo, {
    receiverAuthorizerSigner: privateKeyToAccount(receiver.privateKey as Hex),
  });
  const server = new x402ResourceServer(rail)
    .register(network, new ExactServer())
    .register(network, new UptoServer())
    .register(network, batchServer);

  const account = privateKeyToAccount(payer.privateKey as Hex);
  const rpcUrl = embedded.url;
  const batchClient = new BatchClient(
    { ...account, readContract: wallet.readContract },
    { depositPolicy: { depositMultiplier: 10 }, rpcUrl },
  );
  let last: PaymentPayload | undefined;
  const client = new x402Client()
    .register(network, new ExactClient(account, { rpcUrl }))
    .register(network, new UptoClient(account, { rpcUrl }))
    .register(network, batchClient)
    .setSpendControls({ allowedAssets: [{ network, asset, maxAmountPerPayment: (100n * OPG_WEI).toString() }] })
    .onAfterPaymentCreation(({ paymentPayload }) => {
      last = paymentPayload;
      return Promise.resolve();
    });

  const shopFor = ({ scheme, amount, charge, extra, extensions = {} }: Route): typeof fetch => {
    const price = { amount: amount.toString(), asset, extra: { name: "OpenGradient", version: "1", ...extra } };
    const accepts = { scheme, network, payTo, price, maxTimeoutSeconds: 300 };
    const shop = new Hono();
    shop.use(paymentMiddleware({ "/paid": { accepts, extensions } }, server));
    shop.get("/paid", (context) => {
      if (charge !== undefined) setSettlementOverrides(context, { amount: charge.toString() });
      return context.text("paid for");
    });
    return (input, init) => Promise.resolve(shop.request(input as Request, init));
  };

  return {
    opg,
    payer,
    receiver,
    relay,
    batchServer,
    batchClient,
    rail,
    network,
    settlements,
    shopFor,
    request: (route) => wrapFetchWithPayment(shopFor(route), client)("http://shop.test/paid"),
    lastPayment() {
      if (last === undefined) throw new Error("Nothing was paid for yet");
      return last;
    },
    rpc: (method, ...params) => local.rpc(method, ...params),
    close: () => local.close(),
  };
}
