import { x402Client } from "@x402/core/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import { JsonRpcProvider } from "ethers";
import OpenAI from "openai";
import { privateKeyToAccount } from "viem/accounts";
import { OpenGradientClient } from "../../../simulator/client/OpenGradientClient.ts";
import type { Scheme } from "../../../simulator/client/PaymentLimits.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { answerQuestions, serve } from "../harness/serve.ts";

/** Which client: OpenAI's alone, OpenAI's that pays by the stock packages, or OpenAI's behind ours, which checks every receipt. */
export type LiveClientKind = "openai" | "openai + @x402/fetch" | "openai + ours";

export interface LiveRun {
  kind: LiveClientKind;
  /** Base URL. */
  url: string;
  /** Sent with each request. */
  headers: Readonly<Record<string, string>>;
  seconds: number;
  paid?: {
    scheme: Scheme;
    privateKey: Hex;
    chainUrl: string;
    chainId: number;
    asset: Hex;
    /** The most that may be signed for one request. */
    maxWei: bigint;
    /** ProofSettlement. */
    settlement: Hex;
    /** Whom receipts have to be of, and the key that signs them. */
    operator: Hex;
    signer: Hex;
  };
}

export interface LiveResult {
  /** Of whole calls as a user makes them, in ms, ascending; the first, which opens connections and channels, apart. */
  latenciesMs: Float64Array;
  firstMs: number;
  seconds: number;
}

/** A fetch that pays, as a user would set it up. */
function payingFetch({ kind, url, paid }: LiveRun): typeof fetch {
  if (paid === undefined) return fetch;
  const { scheme, privateKey, chainUrl, chainId, asset, maxWei, settlement, operator, signer } = paid;
  if (kind === "openai + ours") {
    return new OpenGradientClient({
      gatewayUrl: url,
      domain: { chainId: BigInt(chainId), verifyingContract: settlement },
      signers: { operatorOf: (key) => Promise.resolve(key === signer ? operator : undefined) },
      wallet: privateKey,
      asset,
      maxPaymentWei: maxWei,
      maxSessionWei: 10n * maxWei,
      maxOutstandingWei: 1_000_000n * maxWei,
      maxDepositWei: 10_000n * maxWei,
      schemes: [scheme],
      provider: new JsonRpcProvider(chainUrl, undefined, { cacheTimeout: -1 }),
    }).fetch;
  }
  const network = `eip155:${chainId}` as const;
  const account = privateKeyToAccount(privateKey);
  const schemes = {
    exact: () => new ExactEvmScheme(account),
    upto: () => new UptoEvmScheme(account),
    "batch-settlement": () => new BatchSettlementEvmScheme(account, { depositPolicy: { depositMultiplier: 1_000 } }),
  };
  const client = new x402Client()
    .register(network, schemes[scheme]())
    .setSpendControls({ allowedAssets: [{ network, asset, maxAmountPerPayment: (10_000n * maxWei).toString() }] });
  return wrapFetchWithPayment(fetch, client);
}

let openai: OpenAI | undefined;
let calls = 0;

/** One call of a user. @returns ms */
async function ask(client: OpenAI): Promise<number> {
  const startedAt = performance.now();
  const { choices } = await client.chat.completions.create({
    model: "bench",
    messages: [{ role: "user", content: `Say hello, ${calls++}.` }],
  });
  const tookMs = performance.now() - startedAt;
  if (choices[0]?.message.content == null) throw new Error("Expected an answer with a text");
  return tookMs;
}

/** One call after the other, for as long as was asked; the process keeps its client, for the next time. */
async function run(live: LiveRun): Promise<LiveResult> {
  const { url, headers, seconds } = live;
  const client = (openai ??= new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: "none",
    maxRetries: 0,
    defaultHeaders: headers,
    fetch: payingFetch(live),
  }));
  const firstMs = await ask(client);
  const latencies: number[] = [];
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1_000) latencies.push(await ask(client));
  return {
    latenciesMs: Float64Array.from(latencies).sort(),
    firstMs,
    seconds: (performance.now() - startedAt) / 1_000,
  };
}

answerQuestions(run);
serve({ url: "" });
