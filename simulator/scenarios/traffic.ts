import OpenAI from "openai";
import { parseEther } from "ethers";

import { delay } from "../chain/delay.ts";
import { VerificationError } from "../client/ClientError.ts";
import { OpenGradientClient } from "../client/OpenGradientClient.ts";
import type { Scheme } from "../client/PaymentLimits.ts";
import type { VerifiedReceipt } from "../client/ReceiptBook.ts";
import { OnChainSignerDirectory } from "../client/SignerDirectory.ts";
import { pooled } from "./pooled.ts";
import type { Participant } from "./Participant.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";
import type { Route, WorkItem } from "./workload.ts";

/** What one request came to. */
export interface Outcome {
  item: WorkItem;
  /** From sending the request to the verified end of the answer, the payment's round trip included. */
  elapsedMs: number;
  error?: Error;
}

/** What the clients have in the end. */
export interface Traffic {
  outcomes: Outcome[];
  receipts: readonly VerifiedReceipt[];
}

const MAX_PAYMENT_WEI = parseEther("0.02");
const MAX_SESSION_WEI = parseEther("0.2");
const MAX_DEPOSIT_WEI = parseEther("5");
const MAX_TOKENS = 48;
const ASK_AGAIN_MS = 100;

/** How every client of the simulation's pays: by signature alone, without ETH. */
export function paying({
  chain,
  contracts,
  participant,
}: Pick<SimulatedNetwork, "chain" | "contracts"> & { participant: Participant }) {
  return {
    wallet: participant.privateKey,
    domain: contracts.domain,
    asset: contracts.addresses.opg,
    maxPaymentWei: MAX_PAYMENT_WEI,
    maxSessionWei: MAX_SESSION_WEI,
    maxDepositWei: MAX_DEPOSIT_WEI,
    provider: chain.provider,
  };
}

/**
 * A client of the public gateway.
 * @param schemes Default: by use what is sold by the token, at its price what has a fixed one.
 */
export function createClient(network: SimulatedNetwork, schemes?: readonly Scheme[]): OpenGradientClient {
  const { chain, contracts, payments } = network;
  return new OpenGradientClient({
    ...paying({ chain, contracts, participant: network.participant("client") }),
    ...(schemes && { schemes }),
    gatewayUrl: payments.gateway.url,
    signers: new OnChainSignerDirectory(chain.provider, contracts.addresses.nodes),
    settlement: { chain, blobs: network.blobs(), fromBlock: contracts.startBlock },
  });
}

/**
 * A client of the simulation's that trusts enclaves of the registry alone, whatever gateway is in front of them.
 * @param sealed whether they alone see what is asked and answered.
 */
export function createEnclaveClient(network: SimulatedNetwork, sealed: boolean): OpenGradientClient {
  const { chain, contracts, images } = network;
  return new OpenGradientClient({
    ...paying({ chain, contracts, participant: network.participant("client") }),
    registry: contracts.addresses.nodes,
    // the simulator's enclaves prove the protocol, not hardware
    policy: { pcrHashes: images, allowTestRoot: true },
    sealed,
    settlement: { chain, blobs: network.blobs(), fromBlock: contracts.startBlock },
  });
}

/** A client for each route. */
export type Clients = Readonly<Record<Route, OpenGradientClient>>;

export function createClients(network: SimulatedNetwork): Clients {
  return {
    gateway: createClient(network),
    channel: createClient(network, ["batch-settlement"]),
    enclave: createEnclaveClient(network, false),
    sealed: createEnclaveClient(network, true),
  };
}

export interface TrafficOptions {
  /** Requests under way at once. */
  concurrency: number;
  onProgress?: (done: number) => void;
  /** How long a request that fails is asked again, with the payment it has. Default: not at all. */
  patienceMs?: number;
}

/** Sends the work: text through the stock `openai` client, tensors to the gateways' own endpoint; each paid, each answer checked. */
export async function sendTraffic(
  clients: Clients,
  work: readonly WorkItem[],
  { concurrency, onProgress, patienceMs = 0 }: TrafficOptions,
): Promise<Traffic> {
  const all = Object.entries(clients) as [Route, OpenGradientClient][];
  const senders = new Map(
    all.map(([route, client]) => {
      const openai = new OpenAI({ baseURL: client.baseUrl, apiKey: "none", maxRetries: 0, fetch: client.fetch });
      return [route, (item: WorkItem) => send(client, openai, item)];
    }),
  );
  let done = 0;
  const outcomes = await pooled(work, concurrency, async (item): Promise<Outcome> => {
    const startMs = performance.now();
    const failure = await untilAnswered(() => senders.get(item.route)!(item), startMs + patienceMs);
    onProgress?.(++done);
    return { item, elapsedMs: performance.now() - startMs, ...(failure && { error: failure }) };
  });
  return { outcomes, receipts: all.flatMap(([, client]) => client.receipts) };
}

/** Takes back what channels hold unspent, and ends the clients. */
export async function closeClients(clients: Clients): Promise<void> {
  const refunds = await clients.channel.refundChannel();
  const failed = refunds.find(({ success }) => !success);
  await Promise.all(Object.values(clients).map((client) => client.close()));
  if (failed !== undefined) throw new Error(`A channel was not refunded: ${failed.errorReason ?? "no reason given"}`);
}

/** What the last try failed with. A false answer is not asked for again. */
async function untilAnswered(ask: () => Promise<void>, endMs: number): Promise<Error | undefined> {
  for (;;) {
    try {
      await ask();
      return undefined;
    } catch (caught) {
      const error = caught instanceof Error ? caught : new Error(String(caught));
      const isFalse = error instanceof VerificationError || error.cause instanceof VerificationError;
      if (isFalse || performance.now() > endMs) return error;
      await delay(ASK_AGAIN_MS);
    }
  }
}

async function send(client: OpenGradientClient, openai: OpenAI, item: WorkItem): Promise<void> {
  if (item.kind === "inference") {
    await client.infer(item.model, { positions: item.positions });
    return;
  }
  const { model, prompt } = item;
  if (item.kind === "completion") {
    await openai.completions.create({ model, prompt, max_tokens: MAX_TOKENS });
    return;
  }
  const request = { model, messages: [{ role: "user" as const, content: prompt }], max_tokens: MAX_TOKENS };
  if (item.kind === "chat") {
    await openai.chat.completions.create(request);
    return;
  }
  const stream = await openai.chat.completions.create({ ...request, stream: true });
  let chunks = 0;
  for await (const chunk of stream) chunks += chunk.choices.length;
  if (chunks === 0) throw new Error("The stream had no chunks");
}
