import Table from "cli-table3";
import { formatEther } from "ethers";

import type { Percentiles } from "./percentiles.ts";

/** A statement that has to hold at the end of a simulation. */
export interface Invariant {
  name: string;
  ok: boolean;
  /** What was found, where that helps to understand a failure. */
  detail?: string;
}

/** OPG of one participant in wei: in its wallet, and held for it by contracts. */
export interface BalanceLine {
  who: string;
  before: bigint;
  after: bigint;
}

/** What `npm run sim --json FILE` writes; see `SimulationReport` for what only the readable report has. */
export interface SimulationSummary {
  /** Requests sent over HTTP. */
  requests: number;
  /** Requests whose answer the client verified. */
  answered: number;
  /** What of that went to enclaves, and what of that was sealed. */
  enclaves: {
    /** Registered by an attestation that the chain checked. */
    attested: number;
    /** Of the dearest registration. */
    attestationGas: number;
    requests: number;
    sealed: number;
    /** Answers that both keys of an enclave signed, and the client verified. */
    answered: number;
    /** Receipts of mode TEE in a batch that reached its quorum. */
    final: number;
  };
  /** What was proven, and proven wrong, of a zk model. */
  zk: {
    /** In mode ZKML to an honest operator. */
    requests: number;
    /** Whose proof the client verified by itself. */
    proven: number;
    /** In a batch that reached its quorum, with the proof. */
    final: number;
    /** Fulfilled from escrow by a proof. */
    escrowed: number;
    /** Batches with a false proof that were proven wrong. */
    forgeriesCaught: number;
    /** Wrong answers without a proof that a proof refuted. */
    refuted: number;
    /** From an answer to its verified proof. */
    slowestProofMs: number;
  };
  /** Answers of operators that were paid on chain what their receipts say, to the wei. */
  paid: number;
  /** What that took: single payments, sessions, and what channels did on chain. */
  payments: { exact: number; upto: number; channel: number };
  /** Receipts the clients hold. */
  receipts: number;
  /** Receipts in a posted batch. */
  settled: number;
  /** Receipts in a batch that reached its quorum. */
  final: number;
  /** Batches proven wrong. */
  challenged: number;
  /** Operators slashed. */
  slashed: number;
  /** Escrow requests refunded. */
  refunded: number;
  fastPathMs: Percentiles;
  timeToFinalityMs: Percentiles;
  /** Gas of all attested batches by their receipts; null when there was none. */
  gasPerReceipt: number | null;
  supplyConserved: boolean;
  invariants: { name: string; ok: boolean }[];
}

export interface SimulationReport extends SimulationSummary {
  invariants: Invariant[];
  balances: BalanceLine[];
  /** OPG burned by slashes, wei. */
  burnedWei: bigint;
  batches: number;
  durationMs: number;
}

/** The JSON form: exactly the fields of `SimulationSummary`. */
export function summaryOf(report: SimulationReport): SimulationSummary {
  const { balances, burnedWei, batches, durationMs, ...summary } = report;
  void [balances, burnedWei, batches, durationMs];
  return { ...summary, invariants: summary.invariants.map(({ name, ok }) => ({ name, ok })) };
}

/** The report a person reads. */
export function renderReport(report: SimulationReport): string {
  const ms = ({ p50, p99 }: Percentiles) => `p50 ${p50 ?? "–"} ms, p99 ${p99 ?? "–"} ms`;
  const facts = new Table({ style: { head: [], border: [], compact: true }, colAligns: ["left", "right"] });
  facts.push(
    ["requests sent", report.requests],
    ["answered and verified by the client", report.answered],
    ["of these by enclaves (sealed)", `${report.enclaves.answered} (${report.enclaves.sealed})`],
    ["paid on chain", report.paid],
    ["by single payments / sessions / moves of channels", paymentsText(report)],
    ["receipts held by clients", report.receipts],
    ["receipts settled / final", `${report.settled} / ${report.final} in ${report.batches} batches`],
    ["of these final by enclaves", report.enclaves.final],
    ["enclaves attested on chain, gas of one", `${report.enclaves.attested}, ${whole(report.enclaves.attestationGas)}`],
    ["batches proven wrong, operators slashed", `${report.challenged}, ${report.slashed}`],
    ["answers proven: verified by the client / final / from escrow", zkText(report)],
    ["slowest proof (answer to verified proof)", `${whole(report.zk.slowestProofMs)} ms`],
    ["false proofs caught, wrong answers refuted by a proof", `${report.zk.forgeriesCaught}, ${report.zk.refuted}`],
    ["escrow requests refunded", report.refunded],
    ["fast path (request to verified answer)", ms(report.fastPathMs)],
    ["time to finality (answer to final batch)", ms(report.timeToFinalityMs)],
    ["gas per receipt", report.gasPerReceipt ?? "–"],
  );
  const balances = new Table({
    head: ["OPG of", "before", "after", "change"],
    colAligns: ["left", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const { who, before, after } of report.balances) {
    balances.push([who, opg(before), opg(after), opg(after - before, true)]);
  }
  balances.push(["burned", "", opg(report.burnedWei), ""]);
  const invariants = report.invariants.map(
    ({ name, ok, detail }) => `${ok ? "✔" : "✖"} ${name}${ok || !detail ? "" : ` (${detail})`}`,
  );
  return [
    facts.toString(),
    balances.toString(),
    ...invariants,
    `finished in ${(report.durationMs / 1_000).toFixed(1)} s`,
  ].join("\n");
}

const paymentsText = ({ payments: { exact, upto, channel } }: SimulationReport): string =>
  `${exact} / ${upto} / ${channel}`;

const zkText = ({ zk: { proven, final, escrowed } }: SimulationReport): string => `${proven} / ${final} / ${escrowed}`;

const whole = (value: number): string => value.toLocaleString("en-US");

function opg(wei: bigint, signed = false): string {
  const text = Number(formatEther(wei)).toLocaleString("en-US", {
    minimumFractionDigits: 3,
    maximumFractionDigits: 3,
  });
  return signed && wei > 0n ? `+${text}` : text;
}
