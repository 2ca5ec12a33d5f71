import { expect } from "chai";
import { pino } from "pino";

import { judge, type Evidence } from "../../../simulator/scenarios/judge.ts";
import { renderReport, summaryOf } from "../../../simulator/scenarios/report.ts";
import { runSimulation, type Simulation } from "../../../simulator/scenarios/runSimulation.ts";

describe("runSimulation", () => {
  let simulation: Simulation;

  before(async function () {
    this.timeout(300_000);
    simulation = await runSimulation({
      requests: 20,
      verifiers: 4,
      concurrency: 8,
      seed: 7,
      renderer: "silent",
      logger: pino({ level: "silent" }),
    });
  });

  after(async () => {
    await simulation?.stop();
  });

  it("answers, pays, settles, catches the liar and refunds", () => {
    const { report } = simulation;
    expect(report.invariants.filter(({ ok }) => !ok)).to.deep.equal([]);
    expect(report).to.include({
      requests: 20,
      answered: 20,
      paid: 20,
      receipts: 20,
      settled: 20,
      final: 18,
      challenged: 4,
      slashed: 3,
      refunded: 1,
      supplyConserved: true,
    });
    const { slowestProofMs, ...zk } = report.zk;
    expect(zk).to.deep.equal({ requests: 3, proven: 3, final: 3, escrowed: 1, forgeriesCaught: 1, refuted: 1 });
    expect(slowestProofMs).to.be.greaterThan(0);
    const { exact, upto, channel } = report.payments;
    expect([exact, channel]).to.deep.equal([6, 3]);
    expect(upto).to.be.within(1, 12);
    const { attestationGas, ...enclaves } = report.enclaves;
    expect(enclaves).to.deep.equal({ attested: 2, requests: 9, sealed: 4, answered: 9, final: 9 });
    expect(attestationGas).to.be.within(10_000_000, 16_400_000);
    expect(report.gasPerReceipt).to.be.greaterThan(0);
    expect(report.burnedWei).to.equal(3_200n * 10n ** 18n);
  });

  it("writes the summary with exactly the documented fields", () => {
    const summary = summaryOf(simulation.report);
    expect(Object.keys(summary).sort()).to.deep.equal(
      [
        "requests",
        "answered",
        "enclaves",
        "zk",
        "paid",
        "payments",
        "receipts",
        "settled",
        "final",
        "challenged",
        "slashed",
        "refunded",
        "fastPathMs",
        "timeToFinalityMs",
        "gasPerReceipt",
        "supplyConserved",
        "invariants",
      ].sort(),
    );
    expect(JSON.parse(JSON.stringify(summary))).to.deep.equal(summary);
    for (const { p50, p99 } of [summary.fastPathMs, summary.timeToFinalityMs]) {
      expect(p50).to.be.a("number").above(0);
      expect(p99).to.be.a("number").least(p50!);
    }
    expect(renderReport(simulation.report)).to.contain("✔ every request was answered and its receipt verified");
  });

  const broken = async (change: (evidence: Evidence) => Evidence): Promise<string[]> => {
    const { invariants } = await judge(change(simulation.evidence));
    return invariants.filter(({ ok }) => !ok).map(({ name }) => name);
  };

  it("notices an answer that failed or was not paid", async () => {
    const withFailure = ({ traffic, ...rest }: Evidence): Evidence => {
      const [first, ...outcomes] = traffic.outcomes;
      return { ...rest, traffic: { ...traffic, outcomes: [{ ...first!, error: new Error("no") }, ...outcomes] } };
    };
    expect(await broken(withFailure)).to.deep.equal(["every request was answered and its receipt verified"]);
    const withoutReceipt = ({ traffic, ...rest }: Evidence): Evidence => ({
      ...rest,
      traffic: { ...traffic, receipts: traffic.receipts.slice(1) },
    });
    expect(await broken(withoutReceipt)).to.include("every answer was paid once, and nothing else");
  });

  it("notices a receipt that is not final, or final twice", async () => {
    const { network } = simulation;
    const honest = ({ header }: Evidence["batches"][number]) =>
      header.operator === network.textOperator.account.address;
    expect(await broken((e) => ({ ...e, batches: e.batches.filter((batch) => !honest(batch)) }))).to.deep.equal([
      "every honest operator's receipt is final",
    ]);
    expect(await broken((e) => ({ ...e, batches: [...e.batches, e.batches.find(honest)!] }))).to.deep.equal([
      "no request is final twice",
    ]);
  });

  it("notices a proof that the client could not verify, and one that is not on chain", async () => {
    const proofs = "every proof was verified by the client, and its receipt is final with it";
    expect(await broken((e) => ({ ...e, zk: { ...e.zk, proven: e.zk.proven.slice(1) } }))).to.deep.equal([proofs]);
    const withoutProofs = (e: Evidence): Evidence => ({
      ...e,
      batches: e.batches.map((batch) => ({
        ...batch,
        receipts: batch.receipts.map(({ receipt, signature }) => ({ receipt, signature })),
      })),
    });
    expect(await broken(withoutProofs)).to.deep.equal([proofs]);
    expect(await broken((e) => ({ ...e, zk: { ...e.zk, escrowFulfilled: false } }))).to.deep.equal([
      "the escrowed request in mode ZKML was answered on chain by its proof",
    ]);
  });

  it("notices a lie that nobody proved, and a refund that is short", async () => {
    expect(
      await broken((e) => ({ ...e, batches: e.batches.map((batch) => ({ ...batch, punished: false })) })),
    ).to.deep.equal([
      "both false batches of the liar were proven wrong, and no honest one",
      "the false proof was proven false on chain",
      "the answer of other weights was refuted on chain by a proof",
    ]);
    expect(await broken((e) => ({ ...e, escrow: { ...e.escrow, refundedWei: 1n } }))).to.deep.equal([
      "the expired request was refunded whole",
    ]);
  });
});
