import { expect } from "chai";
import { pino } from "pino";

import { auditSupply } from "../../../simulator/scenarios/audit.ts";
import { runZkFlow } from "../../../simulator/scenarios/zkFlow.ts";
import { runEscrowFlow } from "../../../simulator/scenarios/escrowFlow.ts";
import { judge } from "../../../simulator/scenarios/judge.ts";
import { paymentsSettled, receiptsSettled } from "../../../simulator/scenarios/runSimulation.ts";
import { postedBatches, reclaimRejected } from "../../../simulator/scenarios/settledBatches.ts";
import { SimulatedNetwork } from "../../../simulator/scenarios/SimulatedNetwork.ts";
import { closeClients, createClients, sendTraffic } from "../../../simulator/scenarios/traffic.ts";
import { makeWorkload } from "../../../simulator/scenarios/workload.ts";

interface Actor {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const REQUESTS = 40;
/** Longer than any of them is down. That a payment buys one inference, however often it is shown, is the gateway's promise. */
const PATIENCE_MS = 30_000;

const restart = (actor: Actor) => async () => {
  await actor.stop();
  await actor.start();
};

/** Ends everything in flight at each restart; that the files survive a real kill -9 is tested actor by actor. */
describe("restarts", () => {
  const network = new SimulatedNetwork({ verifiers: 4, seed: 11, logger: pino({ level: "silent" }) });

  before(async function () {
    this.timeout(120_000);
    await network.startChain();
    await network.deploy();
    await network.fund();
    await network.publishModels();
    await network.startVerifiers();
    await network.publishZkModel();
    await network.startOperators();
    await network.startPayments();
    await network.startEnclaves();
  });

  after(() => network.stop());

  it("loses no receipt and charges nobody twice when every actor restarts under load", async function () {
    this.timeout(180_000);
    const { textOperator, riskOperator, liar, verifiers } = network;
    const [enclaveOperator] = network.enclaveOperators;
    const restarts = [
      restart(textOperator.node),
      () => network.payments.restartGateway(),
      restart(textOperator.settler),
      restart(riskOperator.node),
      restart(verifiers[0]!.node),
      restart(enclaveOperator!.node),
      restart(riskOperator.settler),
      () => network.payments.restartGateway(),
      restart(liar.settler),
      restart(enclaveOperator!.settler),
      restart(verifiers[1]!.node),
    ];
    const every = Math.floor(REQUESTS / (restarts.length + 1));
    let running = Promise.resolve();
    const onProgress = (done: number) => {
      const next = done % every === 0 ? restarts.shift() : undefined;
      if (next) running = running.then(next);
    };
    const options = { concurrency: 4, onProgress, patienceMs: PATIENCE_MS };
    const clients = createClients(network);
    const traffic = await sendTraffic(clients, makeWorkload(REQUESTS, 11), options);
    await running;
    expect(restarts, "restarts that did not happen").to.have.length(0);
    const escrow = await runEscrowFlow(network);
    const zk = await runZkFlow(network, 11);
    await paymentsSettled(network);
    await closeClients(clients);
    await receiptsSettled(network);

    const batches = await postedBatches(network);
    await reclaimRejected(network, batches);
    const { invariants } = await judge({ network, traffic, escrow, zk, batches });
    const { invariants: supply } = await auditSupply(network);
    expect([...invariants, ...supply].filter(({ ok }) => !ok)).to.deep.equal([]);
  });
});
