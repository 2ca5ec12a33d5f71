import { Listr, PRESET_TIMER } from "listr2";

import { delay } from "../chain/delay.ts";
import { auditSupply, holdings } from "./audit.ts";
import { runEscrowFlow, type EscrowOutcome } from "./escrowFlow.ts";
import { judge, type Evidence } from "./judge.ts";
import type { SimulationReport } from "./report.ts";
import { postedBatches, reclaimRejected } from "./settledBatches.ts";
import { SimulatedNetwork, type NetworkSettings } from "./SimulatedNetwork.ts";
import { closeClients, createClients, sendTraffic, type Clients, type Traffic } from "./traffic.ts";
import { runZkFlow, type ZkOutcome } from "./zkFlow.ts";
import { makeWorkload } from "./workload.ts";

export interface SimulationSettings extends NetworkSettings {
  requests: number;
  /** Requests under way at once. */
  concurrency: number;
  /** How progress is shown; default: as fits stdout. */
  renderer?: "default" | "silent";
}

/** A finished run whose actors are still up. */
export interface Simulation {
  report: SimulationReport;
  /** What the report's invariants were judged by. */
  evidence: Evidence;
  network: SimulatedNetwork;
  stop(): Promise<void>;
}

/** Bound on waiting for payments and batches. */
const SETTLEMENT_TIMEOUT_MS = 120_000;

/** Runs the network from an empty chain to settled receipts, with progress on stdout, and reports. */
export async function runSimulation(settings: SimulationSettings): Promise<Simulation> {
  const startMs = performance.now();
  const network = new SimulatedNetwork(settings);
  let before = new Map<string, bigint>();
  let clients!: Clients;
  let traffic!: Traffic;
  let escrow!: EscrowOutcome;
  let zk!: ZkOutcome;
  const tasks = new Listr(
    [
      { title: settings.rpc ? `Connect to ${settings.rpc}` : "Start a chain", task: () => network.startChain() },
      { title: "Deploy the contracts", task: () => network.deploy() },
      { title: "Fund everybody", task: () => network.fund() },
      { title: "Publish the models", task: () => network.publishModels() },
      {
        title: "Count everybody's OPG",
        task: async () => {
          before = await holdings(network);
        },
      },
      { title: `Start ${settings.verifiers} verifiers`, task: () => network.startVerifiers() },
      {
        title: "Publish a model whose answers can be proven, and have its commitment attested",
        task: () => network.publishZkModel(),
      },
      { title: "Start six inference operators, three of them dishonest", task: () => network.startOperators() },
      { title: "Start facilitator and gateway", task: () => network.startPayments() },
      { title: "Start two enclaves, and have the chain check their attestations", task: () => network.startEnclaves() },
      {
        title: `Send ${settings.requests} paid requests`,
        task: async (_, task) => {
          const work = makeWorkload(settings.requests, settings.seed);
          const { concurrency } = settings;
          const onProgress = (done: number) => {
            // where there is no terminal, every update is a line
            if (process.stdout.isTTY || done % Math.ceil(settings.requests / 10) === 0) {
              task.output = `${done} of ${settings.requests}`;
            }
          };
          clients = createClients(network);
          traffic = await sendTraffic(clients, work, { concurrency, onProgress });
        },
      },
      {
        title: "Lock two requests in escrow: one is answered, one expires and is refunded",
        task: async () => {
          escrow = await runEscrowFlow(network);
        },
      },
      {
        title: "Ask for proofs: from an honest operator, a forger and out of escrow; and a bungler for none",
        task: async () => {
          zk = await runZkFlow(network, settings.seed);
        },
      },
      {
        title: "Settle payments: sessions, vouchers, and what is left in channels",
        task: () => paymentsSettled(network).then(() => closeClients(clients)),
      },
      { title: "Settle receipts, catch liar, forger and bungler", task: () => receiptsSettled(network) },
    ],
    {
      renderer: settings.renderer ?? "default",
      rendererOptions: { timer: PRESET_TIMER },
      fallbackRendererOptions: { timer: PRESET_TIMER },
    },
  );
  try {
    await tasks.run();
    const batches = await postedBatches(network);
    await reclaimRejected(network, batches);
    const after = await holdings(network);
    const { invariants: supply, burnedWei } = await auditSupply(network);
    const evidence = { network, traffic, escrow, zk, batches };
    const verdict = await judge(evidence);
    const report: SimulationReport = {
      ...verdict,
      supplyConserved: supply.every(({ ok }) => ok),
      invariants: [...verdict.invariants, ...supply],
      balances: [...after].map(([who, wei]) => ({ who, before: before.get(who) ?? 0n, after: wei })),
      burnedWei,
      batches: batches.length,
      durationMs: performance.now() - startMs,
    };
    return { report, evidence, network, stop: () => network.stop() };
  } catch (error) {
    await network.stop();
    throw error;
  }
}

/** Every payment that was deferred is on chain. */
export async function paymentsSettled(network: SimulatedNetwork): Promise<void> {
  for (const name of ["client", "zk client"]) {
    const payer = network.participant(name).address;
    await bounded("payments to settle", (signal) => network.payments.settled(payer, signal));
  }
}

/** No operator has a receipt or a batch left that is on its way, and verifiers are through with what was posted. */
export async function receiptsSettled(network: SimulatedNetwork): Promise<void> {
  const settled = Promise.all(
    network.operators.map(async ({ settler }) => {
      await settler.flush();
      await settler.idle();
    }),
  ).then(() => undefined);
  await bounded("receipts to settle", () => settled);
}

async function bounded(what: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const over = new AbortController();
  const tooLong = delay(SETTLEMENT_TIMEOUT_MS, over.signal).then(() => {
    if (!over.signal.aborted) throw new Error(`Waited ${SETTLEMENT_TIMEOUT_MS / 1_000} s for ${what}`);
  });
  try {
    await Promise.race([work(over.signal), tooLong]);
  } finally {
    over.abort();
  }
}
