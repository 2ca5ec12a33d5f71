import { Mode, type Hex } from "../receipts/types.ts";
import type { EscrowOutcome } from "./escrowFlow.ts";
import { percentiles } from "./percentiles.ts";
import type { Invariant, SimulationReport } from "./report.ts";
import { BatchStatus, type PostedBatch } from "./settledBatches.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";
import type { Traffic } from "./traffic.ts";

/** What a run is judged by. */
export interface Evidence {
  network: SimulatedNetwork;
  traffic: Traffic;
  escrow: EscrowOutcome;
  batches: readonly PostedBatch[];
}

/** The report without what is about balances and supply. */
type Verdict = Omit<SimulationReport, "supplyConserved" | "balances" | "burnedWei" | "batches" | "durationMs">;

/** The liar's false batches: a foreign signature, and a request settled twice. */
const EXPECTED_CHALLENGES = 2;

/** Figures and invariants, from what the clients hold and what the chain shows. */
export async function judge({ network, traffic, escrow, batches }: Evidence): Promise<Verdict> {
  const { outcomes, receipts } = traffic;
  const liar = network.liar.account.address;
  const failed = outcomes.filter(({ error }) => error);
  const payments = await paymentsOf(network);
  const owed = receipts.reduce((sum, { signed }) => sum + signed.receipt.fee, 0n);

  const standing = batches.filter(({ status }) => status === BatchStatus.attested);
  const finalIds = standing.flatMap((batch) => batch.receipts.map(({ receipt }) => receipt.requestId));
  const final = new Set(finalIds);
  const settled = new Set(batches.flatMap((batch) => batch.receipts.map(({ receipt }) => receipt.requestId)));
  const honest = receipts.filter(({ operator }) => operator !== liar).map(({ requestId }) => requestId);
  const punished = batches.filter((batch) => batch.punished);
  const slashedOperators = await operatorsSlashed(network);

  const toEnclaves = outcomes.filter(({ item }) => item.route !== "gateway");
  const attested = new Set(network.enclaves.map(({ enclave }) => enclave.signer.address));
  const byEnclaves = receipts.filter(({ signed, signer }) => signed.receipt.mode === Mode.Tee && attested.has(signer));

  const honestGas = standing.filter(({ header }) => header.operator !== liar);
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
      ok: payments.count === receipts.length && payments.sum === owed,
      detail: `${payments.count} payments of ${payments.sum} wei for ${receipts.length} receipts of ${owed} wei`,
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
      ok: punished.length === EXPECTED_CHALLENGES && punished.every(({ header }) => header.operator === liar),
      detail: `${punished.length} proven wrong`,
    },
    {
      name: "the liar alone was slashed",
      ok: slashedOperators.size === 1 && slashedOperators.has(liar),
      detail: [...slashedOperators].join(", ") || "nobody was",
    },
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
    enclaves: {
      attested: network.enclaves.length,
      attestationGas: Math.max(...network.enclaves.map(({ attested: { gasUsed } }) => Number(gasUsed))),
      requests: toEnclaves.length,
      sealed: toEnclaves.filter(({ item, error }) => item.route === "sealed" && !error).length,
      answered: byEnclaves.length,
      final: byEnclaves.filter(({ requestId }) => final.has(requestId)).length,
    },
    paid: payments.count,
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

/** The client's payments as the chain has them: authorizations used, and OPG that left its wallet. */
async function paymentsOf(network: SimulatedNetwork): Promise<{ count: number; sum: bigint }> {
  const { opg, startBlock } = network.contracts;
  const client = network.participant("client").address;
  const used = await opg.queryFilter(opg.filters.AuthorizationUsed(client), startBlock);
  const sent = await opg.queryFilter(opg.filters.Transfer(client), startBlock);
  return { count: used.length, sum: sent.reduce((sum, { args }) => sum + args.value, 0n) };
}

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
