import type { AddressInfo } from "node:net";

import { expect } from "chai";
import { Wallet } from "ethers";
import { pino } from "pino";

import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { SnapshotKeeper } from "../../../simulator/verification/SnapshotKeeper.ts";
import { VerifierView } from "../../../simulator/verification/VerifierView.ts";
import { hexAddress, VERIFIER_STAKE } from "../../support/batches.ts";
import { deployProtocol, takeSeat, testKey } from "../../support/protocol.ts";
import { eventually, payerKey, serveJsonRpc } from "./verifierWorld.ts";

const logger = pino({ level: "silent" });

describe("SnapshotKeeper", () => {
  it("does not take the first set while verifiers are still coming", async () => {
    const protocol = await deployProtocol();
    const { settlement, models, nodes, accounts, connection } = protocol;
    const server = await serveJsonRpc(connection.provider);
    const chain = await connectChain({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const submitter = new TransactionSubmitter({ chain, signer: new Wallet(payerKey(0)), logger });
    await submitter.start();
    await takeSeat(protocol, accounts[1]!, testKey(1), VERIFIER_STAKE);
    let looks = 0;
    const view = new VerifierView({
      chain,
      settlement: await hexAddress(settlement),
      models: await hexAddress(models),
      nodes: await hexAddress(nodes),
    });
    const seats = view.seats.bind(view);
    view.seats = () => seats().finally(() => looks++);
    const keeper = new SnapshotKeeper({
      view,
      voter: signerFromKey(testKey(1).privateKey as Hex),
      submitter,
      logger,
      tell: () => undefined,
      staggerMs: 0,
      intervalMs: 500,
    });
    keeper.start();
    try {
      await eventually(() => looks === 1);
      await takeSeat(protocol, accounts[2]!, testKey(2), VERIFIER_STAKE);
      await eventually(async () => (await settlement.state()).setId !== 0n);
      const { signers } = await settlement.verifierSet(1);
      expect(signers).to.deep.equal([testKey(1).address, testKey(2).address]);
    } finally {
      await keeper.stop();
      await submitter.stop();
      chain.close();
      server.close().closeAllConnections();
      await connection.close();
    }
  });
});
