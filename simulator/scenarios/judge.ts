import { x402Addresses } from "../chain/x402/x402Addresses.ts";
import { Mode, type Hex } from "../receipts/types.ts";
import type { EscrowOutcome } from "./escrowFlow.ts";
import { percentiles } from "./percentiles.ts";
import type { Invariant, SimulationReport } from "./report.ts";
import { BatchStatus, type PostedBatch } from "./settledBatches.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";
import { judgeZk } from "./judgeZk.ts";
import type { ZkOutcome } from "./zkFlow.ts";
import type { Traffic } from "./traffic.ts";

/** What a run is judged by. */
export interface Evidence {
  network: SimulatedNetwork;
  traffic: Traffic;
  escrow: EscrowOutcome;
  zk: ZkOutcome;
  batches: readonly PostedBatch[];
}

const MOVES_OF_A_CHANNEL = 3;

/** The report without what is about balances and supply. */
type Verdict = Omit<SimulationReport, "supplyConserved" | "balances" | "burnedWei" | "batches" | "durationMs">;

/** The liar's false batches: a foreign signature, and a request settled twice. */
const EXPECTED_CHALLENGES = 2;

/** Figures and invariants, from what the clients hold and what the chain shows. */
export async function judge({ network, traffic, escrow, zk, batches }: Evidence): Promise<Verdict> {
  const { outcomes, receipts } = traffic;
  const liar = network.liar.account.address;
  const dishonest = new Set([network.liar, network.forger, network.bungler].map(({ account }) => account.address));
  const failed = outcomes.filter(({ error }) => error);
  const payments = await paymentsOf(network);
  const owed = sumsBy(
    receipts,
    ({ operator }) => operator,
    ({ signed }) => signed.receipt.fee,
  );
  const paidInFull = (operator: Hex): boolean => payments.received.get(operator) === owed.get(operator);

  const standing = batches.filter(({ status }) => status === BatchStatus.attested);
  const finalIds = standing.flatMap((batch) => batch.receipts.map(({ receipt }) => receipt.requestId));
  const final = new Set(finalIds);
  const settled = new Set(batches.flatMap((batch) => batch.receipts.map(({ receipt }) => receipt.requestId)));
  const honest = receipts.filter(({ operator }) => operator !== liar).map(({ requestId }) => requestId);
  const punished = batches.filter((batch) => batch.punished);
  const ofLiar = punished.filter(({ header }) => header.operator === liar);
  const zkVerdict = judgeZk(network, zk, batches);
  const slashedOperators = await operatorsSlashed(network);

  const fixed = outcomes.filter(({ item }) => item.kind === "inference");
  const byUse = outcomes.filter(({ item }) => item.kind !== "inference" && item.route !== "channel");
  const toEnclaves = outcomes.filter(({ item }) => item.route === "enclave" || item.route === "sealed");
  const attested = new Set(network.enclaves.map(({ enclave }) => enclave.signer.address));
  const byEnclaves = receipts.filter(({ signed, signer }) => signed.receipt.mode === Mode.Tee && attested.has(signer));

  const honestGas = standing.filter(({ header }) => !dishonest.has(header.operator));
  const gasReceipts = honestGas.reduce((sum, { header }) => sum + header.count, 0);
  const gas = honestGas.reduce((sum, { gasUsed }) => sum + gasUsed, 0n);
  const invariants: Invariant[] = [
    {
      name: "every request was answered and its receipt verified",
      ok: failed.length === 0 && receipts.length === outcomes.length,
      detail: `${failed.length} failed; first: ${failed[0]?.error ? reasonOf(failed[0].error) : "none"}`,
    },
    {
      name: "every answer was paid once, and nothing else",
      ok: receipts.length === outcomes.length && [...owed.keys()].every(paidInFull) && payments.spent === total(owed),
      detail: `${payments.spent} wei paid for receipts of ${total(owed)} wei`,
    },
    {
      name: "fixed prices took a payment each, sessions fewer than requests, and a channel a deposit, a claim and a refund",
      ok:
        payments.transactions.exact === fixed.length &&
        payments.transactions.upto <= byUse.length &&
        payments.transactions.channel <= MOVES_OF_A_CHANNEL,
      detail: `${JSON.stringify(payments.transactions)} for ${fixed.length} fixed prices and ${byUse.length} by use`,
    },
    {
      name: "every honest operator's receipt is final",
      ok: honest.every((requestId) => final.has(requestId)),
      detail: `${honest.filter((requestId) => !final.has(requestId)).length} are not`,
    },
    {
      name: "every request to an enclave was answered by one that the chain has attested",
      ok: byEnclaves.length === toEnclaves.length,
      detail: `${byEnclaves.length} of ${toEnclaves.length}`,
    },
    {
      name: "no request is final twice",
      ok: final.size === finalIds.length,
      detail: `${finalIds.length - final.size} are`,
    },
    {
      name: "both false batches of the liar were proven wrong, and no honest one",
      ok: ofLiar.length === EXPECTED_CHALLENGES && punished.every(({ header }) => dishonest.has(header.operator)),
      detail: `${ofLiar.length} proven wrong, ${punished.length} of all`,
    },
    {
      name: "liar, forger and bungler were slashed, and nobody else",
      ok: slashedOperators.size === dishonest.size && [...slashedOperators].every((who) => dishonest.has(who)),
      detail: [...slashedOperators].join(", ") || "nobody was",
    },
    ...zkVerdict.invariants,
    { name: "the escrowed request was answered on chain", ok: escrow.fulfilled },
    {
      name: "the expired request was refunded whole",
      ok: escrow.refunded && escrow.refundedWei === escrow.expectedRefundWei,
      detail: `${escrow.refundedWei} of ${escrow.expectedRefundWei} wei`,
    },
  ];
  return {
    requests: outcomes.length,
    answered: outcomes.length - failed.length,
    zk: zkVerdict.figures,
    enclaves: {
      attested: network.enclaves.length,
      attestationGas: Math.max(...network.enclaves.map(({ attested: { gasUsed } }) => Number(gasUsed))),
      requests: toEnclaves.length,
      sealed: toEnclaves.filter(({ item, error }) => item.route === "sealed" && !error).length,
      answered: byEnclaves.length,
      final: byEnclaves.filter(({ requestId }) => final.has(requestId)).length,
    },
    paid: receipts.filter(({ operator }) => paidInFull(operator)).length,
    payments: payments.transactions,
    receipts: receipts.length,
    settled: receipts.filter(({ requestId }) => settled.has(requestId)).length,
    final: receipts.filter(({ requestId }) => final.has(requestId)).length,
    challenged: punished.length,
    slashed: slashedOperators.size,
    refunded: escrow.refunded ? 1 : 0,
    fastPathMs: percentiles(outcomes.filter(({ error }) => !error).map(({ elapsedMs }) => elapsedMs)),
    timeToFinalityMs: percentiles(
      network.settlements
        .filter(({ type, operator }) => type === "attested" && operator !== liar)
        .flatMap(({ latenciesMs }) => latenciesMs),
    ),
    gasPerReceipt: gasReceipts === 0 ? null : Math.round(Number(gas) / gasReceipts),
    invariants,
  };
}

/** The client's payments as the chain has them. */
interface Payments {
  /** OPG that left its wallet for good, wei. */
  spent: bigint;
  /** What each operator got of it, wei. */
  received: Map<Hex, bigint>;
  /** Settlements by how they were paid. */
  transactions: { exact: number; upto: number; channel: number };
}

/** By way of these deposits reach the channels' contract. */
const COLLECTORS: readonly Hex[] = [x402Addresses.erc3009Collector, x402Addresses.permit2Collector].map(
  (address) => address.toLowerCase() as Hex,
);

/** Deposits went to the channels' contract, which passed on what was claimed and gave back the rest. */
async function paymentsOf(network: SimulatedNetwork): Promise<Payments> {
  const { opg, startBlock } = network.contracts;
  const client = network.participant("client").address;
  const channels = x402Addresses.batchSettlement;
  const transfers = async (from: string, to?: string) =>
    (await opg.queryFilter(opg.filters.Transfer(from, to), startBlock)).map(({ args }) => ({
      to: args.to.toLowerCase() as Hex,
      value: args.value,
    }));
  const [sent, claimed, used] = await Promise.all([
    transfers(client),
    transfers(channels),
    opg.queryFilter(opg.filters.AuthorizationUsed(client), startBlock),
  ]);
  const direct = sent.filter(({ to }) => !COLLECTORS.includes(to));
  const deposits = sent.length - direct.length;
  const refunded = claimed.filter(({ to }) => to === client);
  const payouts = claimed.filter(({ to }) => to !== client);
  const sum = (values: readonly { value: bigint }[]): bigint => values.reduce((total, { value }) => total + value, 0n);
  // deposits are by ERC-3009 too
  const exact = used.length - deposits;
  return {
    spent: sum(sent) - sum(refunded),
    received: sumsBy(
      [...direct, ...payouts],
      ({ to }) => to,
      ({ value }) => value,
    ),
    transactions: { exact, upto: direct.length - exact, channel: deposits + payouts.length + refunded.length },
  };
}

function sumsBy<T>(items: readonly T[], key: (item: T) => Hex, value: (item: T) => bigint): Map<Hex, bigint> {
  const sums = new Map<Hex, bigint>();
  for (const item of items) sums.set(key(item), (sums.get(key(item)) ?? 0n) + value(item));
  return sums;
}

const total = (sums: Map<Hex, bigint>): bigint => [...sums.values()].reduce((sum, value) => sum + value, 0n);

/** With the cause: OpenAI's client calls whatever goes wrong in `fetch` a connection error. */
function reasonOf(error: Error): string {
  const { cause } = error;
  return cause instanceof Error ? `${error.message} ${cause.message}` : error.message;
}

async function operatorsSlashed({ contracts }: SimulatedNetwork): Promise<Set<Hex>> {
  const { staking, startBlock } = contracts;
  const slashes = await staking.queryFilter(staking.filters.Slashed(), startBlock);
  return new Set(slashes.map(({ args }) => args.operator.toLowerCase() as Hex));
}
