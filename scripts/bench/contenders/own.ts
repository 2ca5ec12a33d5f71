import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { Contender, RunningContender, Settlement } from "../harness/Contender.ts";
import { type ServerProcess, startServer } from "../harness/childProcess.ts";
import type { Backlog, OwnGatewaySettings } from "../servers/ownGateway.ts";
import type { BenchChain } from "./BenchChain.ts";
import { liveRuns } from "./liveRuns.ts";
import { paidRequests, type PaymentStyle } from "./paidRequests.ts";
import { unpaid } from "./unpaid.ts";

/** The first of Hardhat's accounts that ours use; those before are the deployer's and the stock sellers'. */
const FIRST_ACCOUNT = 3;

export interface OwnOptions {
  name: string;
  title: string;
  style: PaymentStyle | "none";
  /** Answers carry an enclave's RSA signature, over each or over all that wait. */
  enclave?: "plain" | "merkle";
  /** Which of ours this is, from 0: each has accounts of its own. */
  index: number;
  upstream: string;
  chain: BenchChain;
}

/** Our gateway, with its node and its facilitator in one process. */
export function own({ name, title, style, enclave, index, upstream, chain }: OwnOptions): Contender {
  return {
    name,
    title,
    start: async (): Promise<RunningContender> => {
      const [facilitator, operator] = devAccounts().slice(FIRST_ACCOUNT + 2 * index);
      const scheme = style === "upto-session" ? "upto" : style;
      const settings: OwnGatewaySettings = {
        upstream,
        chainUrl: chain.url,
        asset: chain.asset,
        settlement: chain.settlement,
        facilitatorKey: facilitator!.privateKey,
        operatorKey: operator!.privateKey,
        payment: scheme,
        ...(enclave && { enclave: true }),
      };
      const server = await startServer(new URL("../servers/ownGateway.ts", import.meta.url), settings);
      if (style === "none" || scheme === "none") return unpaid(server);
      const receipts = { operator: operator!.address, signer: server.facts["signer"] as Hex };
      return {
        url: server.url,
        pids: [server.pid],
        kind: style === "upto-session" ? "perishable" : "single",
        requests: await paidRequests(name, server.url, style, enclave && { "x-tee-signature": enclave }),
        // a session is how our client pays by `upto`
        live:
          style === "upto" || enclave ? [] : liveRuns({ contender: name, url: server.url, scheme, chain, receipts }),
        drain: () => drained(server),
        settlement: () => server.ask<Settlement>("settlement"),
        stop: () => server.stop(),
      };
    },
  };
}

const DRAIN_MS = 300_000;
const LOOK_MS = 50;

/** @throws Error when payments stay on their way. */
async function drained(server: ServerProcess): Promise<void> {
  for (const endsAt = Date.now() + DRAIN_MS; ; await new Promise((resolve) => setTimeout(resolve, LOOK_MS))) {
    const { waiting } = await server.ask<Backlog>("backlog");
    if (waiting === 0) return;
    if (Date.now() > endsAt) throw new Error(`${waiting} payments are not settled after ${DRAIN_MS / 1_000} s`);
  }
}
