import OpenAI from "openai";
import { parseEther } from "ethers";

import { OpenGradientClient } from "../client/OpenGradientClient.ts";
import type { VerifiedReceipt } from "../client/ReceiptBook.ts";
import { OnChainSignerDirectory } from "../client/SignerDirectory.ts";
import { pooled } from "./pooled.ts";
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
const MAX_TOKENS = 48;

/**
 * A client of the simulation's, which pays by signature alone.
 * @param send instead of the global fetch.
 */
export function createClient(network: SimulatedNetwork, send: typeof fetch = fetch): OpenGradientClient {
  const { chain, contracts, gateway } = network;
  return new OpenGradientClient({
    wallet: network.participant("client").privateKey,
    gatewayUrl: gateway.url,
    domain: contracts.domain,
    asset: contracts.addresses.opg,
    maxPaymentWei: MAX_PAYMENT_WEI,
    fetch: send,
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
    wallet: network.participant("client").privateKey,
    domain: contracts.domain,
    asset: contracts.addresses.opg,
    maxPaymentWei: MAX_PAYMENT_WEI,
    provider: chain.provider,
    registry: contracts.addresses.nodes,
    // the simulator's enclaves prove the protocol, not hardware
    policy: { pcrHashes: images, allowTestRoot: true },
    sealed,
    settlement: { chain, blobs: network.blobs(), fromBlock: contracts.startBlock },
  });
}

/** A client for each route. */
export type Clients = Readonly<Record<Route, OpenGradientClient>>;

/** @param send what the public gateway's client uses instead of the global fetch. */
export function createClients(network: SimulatedNetwork, send?: typeof fetch): Clients {
  return {
    gateway: createClient(network, send),
    enclave: createEnclaveClient(network, false),
    sealed: createEnclaveClient(network, true),
  };
}

/** Sends the work: text through the stock `openai` client, tensors to the gateways' own endpoint; each paid, each answer checked. */
export async function sendTraffic(
  clients: Clients,
  work: readonly WorkItem[],
  concurrency: number,
  onProgress: (done: number) => void,
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
    const failure = await senders.get(item.route)!(item).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    onProgress(++done);
    return { item, elapsedMs: performance.now() - startMs, ...(failure && { error: failure }) };
  });
  await Promise.all(all.map(([, client]) => client.close()));
  return { outcomes, receipts: all.flatMap(([, client]) => client.receipts) };
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
