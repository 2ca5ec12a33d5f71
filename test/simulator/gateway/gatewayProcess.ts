/** A gateway with its facilitator in a process of its own, to be killed. Settings come as JSON in GATEWAY; prints its URL. */
import type { JsonRpcProvider } from "ethers";
import { Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { FixedPrice } from "../../../simulator/pricing/FixedPrice.ts";
import { OpgPrice } from "../../../simulator/pricing/OpgPrice.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

export interface GatewayProcessSettings {
  rpcUrl: string;
  port: number;
  settlement: Hex;
  asset: Hex;
  facilitatorKey: Hex;
  outboxFile: string;
  storeFile: string;
  nodeUrl: string;
  nodeToken: string;
  /** Price of OPG, for models that are sold by the token. */
  opgUsd?: string;
  sessionIdleMs?: number;
  /** Where it hangs for ever, until it is killed. */
  stuckAt?: "enqueue" | "eth_sendRawTransaction" | "eth_getTransactionReceipt";
}

async function main(settings: GatewayProcessSettings): Promise<void> {
  const logger = pino({ level: "silent" });
  const chain = await connectChain({ url: settings.rpcUrl });
  if (settings.stuckAt?.startsWith("eth_")) {
    const send: JsonRpcProvider["send"] = chain.provider.send.bind(chain.provider);
    chain.provider.send = (method, parameters) =>
      method === settings.stuckAt ? new Promise(() => undefined) : send(method, parameters);
    if (settings.stuckAt === "eth_getTransactionReceipt") {
      chain.provider.getTransactionReceipt = () => new Promise(() => undefined);
    }
  }
  const facilitator = new Facilitator({
    chain,
    signer: new Wallet(settings.facilitatorKey),
    outboxFile: settings.outboxFile,
    logger,
    settler: { minRetryMs: 10 },
  });
  if (settings.stuckAt === "enqueue") facilitator.enqueue = () => new Promise(() => undefined);
  const gateway = new Gateway({
    domain: { chainId: chain.chainId, verifyingContract: settings.settlement },
    asset: settings.asset,
    provider: chain.provider,
    rail: facilitator,
    nodes: [{ url: settings.nodeUrl, token: settings.nodeToken }],
    storeFile: settings.storeFile,
    logger,
    port: settings.port,
    sweepMs: 50,
    ...(settings.sessionIdleMs !== undefined && { sessionIdleMs: settings.sessionIdleMs }),
    ...(settings.opgUsd !== undefined && {
      opgPrice: new OpgPrice({
        sources: [new FixedPrice(settings.opgUsd)],
        bounds: { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 13n },
        logger,
      }),
    }),
  });
  await facilitator.start();
  await gateway.start();
  console.log(gateway.url);
}

// test runners load every file below test/
if (process.env.GATEWAY !== undefined) await main(JSON.parse(process.env.GATEWAY) as GatewayProcessSettings);
