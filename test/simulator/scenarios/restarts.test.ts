import { expect } from "chai";
import { pino } from "pino";

import { delay } from "../../../simulator/chain/delay.ts";
import { auditSupply } from "../../../simulator/scenarios/audit.ts";
import { runEscrowFlow } from "../../../simulator/scenarios/escrowFlow.ts";
import { judge } from "../../../simulator/scenarios/judge.ts";
import { paymentsSettled, receiptsSettled } from "../../../simulator/scenarios/runSimulation.ts";
import { postedBatches, reclaimRejected } from "../../../simulator/scenarios/settledBatches.ts";
import { SimulatedNetwork } from "../../../simulator/scenarios/SimulatedNetwork.ts";
import { createClients, sendTraffic } from "../../../simulator/scenarios/traffic.ts";
import { makeWorkload } from "../../../simulator/scenarios/workload.ts";

interface Actor {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const REQUESTS = 40;
const DOWNTIME_MS = 30_000;

/** Sends again until there is an answer, the payment with it: that a payment buys one inference is the gateway's promise. */
const whenUp: typeof fetch = async (input, init) => {
  const end = performance.now() + DOWNTIME_MS;
  for (;;) {
    try {
      const response = await fetch(input instanceof Request ? input.clone() : input, init);
      if (response.status !== 503 || performance.now() > end) return response;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await delay(100);
  }
};

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
    await network.startOperators();
    await network.startFacilitator();
    await network.startGateway();
    await network.startEnclaves();
  });

  after(() => network.stop());

  it("loses no receipt and charges nobody twice when every actor restarts under load", async function () {
    this.timeout(180_000);
    const { textOperator, riskOperator, liar, verifiers } = network;
    const [enclaveOperator] = network.enclaveOperators;
    const restarts = [
      restart(textOperator.node),
      () => network.restartGateway(),
      restart(textOperator.settler),
      restart(riskOperator.node),
      restart(verifiers[0]!.node),
      restart(riskOperator.settler),
      () => network.restartGateway(),
      restart(liar.settler),
      restart(enclaveOperator!.settler),
      restart(verifiers[1]!.node),
    ];
    const every = Math.floor(REQUESTS / (restarts.length + 1));
    let running = Promise.resolve();
    const traffic = await sendTraffic(createClients(network, whenUp), makeWorkload(REQUESTS, 11), 4, (done) => {
      const next = done % every === 0 ? restarts.shift() : undefined;
      if (next) running = running.then(next);
    });
    await running;
    expect(restarts, "restarts that did not happen").to.have.length(0);
    const escrow = await runEscrowFlow(network);
    await paymentsSettled(network);
    await receiptsSettled(network);

    const batches = await postedBatches(network);
    await reclaimRejected(network, batches);
    const { invariants } = await judge({ network, traffic, escrow, batches });
    const { invariants: supply } = await auditSupply(network);
    expect([...invariants, ...supply].filter(({ ok }) => !ok)).to.deep.equal([]);
  });
});
