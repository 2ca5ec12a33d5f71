import { OpenGradientClient } from "../client/OpenGradientClient.ts";
import type { VerifiedReceipt } from "../client/ReceiptBook.ts";
import { OnChainSignerDirectory } from "../client/SignerDirectory.ts";
import { SeededRandom } from "../models/SeededRandom.ts";
import { canonicalJson } from "../receipts/canonicalJson.ts";
import { toJson } from "../receipts/json.ts";
import { Mode } from "../receipts/types.ts";
import { requestWords } from "../zkml/jsonTensors.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { isFulfilled, lock } from "./escrowFlow.ts";
import type { SimulatedNetwork } from "./SimulatedNetwork.ts";
import { FORGED_MODEL_ID, WRONG_MODEL_ID, ZK_MODEL_ID } from "./SimulatedZk.ts";
import { paying } from "./traffic.ts";
import { position } from "./workload.ts";

/** What became of the requests to the zk model. */
export interface ZkOutcome {
  /** Answers in mode ZKML whose proof the client verified by itself, from an honest operator. */
  proven: VerifiedReceipt[];
  /** From the answer to its verified proof, of the slowest. */
  slowestProofMs: number;
  /** Of whom posts a false proof for it, and of whom answered with other weights. */
  forged: VerifiedReceipt;
  wrong: VerifiedReceipt;
  /** The escrowed request was answered on chain by a proof. */
  escrowFulfilled: boolean;
}

export const ZK_REQUESTS = 3;
const PROOF_TIMEOUT_MS = 240_000;
const ESCROW_SECONDS = 180;

/**
 * Requests to the zk model: some in mode ZKML to an honest operator, whose proofs the client waits for; one to an operator that will post a
 * false proof; one in mode VANILLA to an operator that runs other weights; and one from escrow.
 */
export async function runZkFlow(network: SimulatedNetwork, seed: number): Promise<ZkOutcome> {
  const { chain, contracts, payments, zk, zkOperator } = network;
  const client = new OpenGradientClient({
    ...paying({ chain, contracts, participant: network.participant("zk client") }),
    gatewayUrl: payments.gateway.url,
    signers: new OnChainSignerDirectory(chain.provider, contracts.addresses.nodes),
    zk: zk.directory,
  });
  const random = new SeededRandom(seed + 1);
  const ask = async (model: string, mode: "vanilla" | "zkml"): Promise<VerifiedReceipt> =>
    (await client.infer(model, { positions: [position(random)] }, { mode })).receipt;
  try {
    const escrowed = await lockProven(network, [position(random)]);
    const answers = await Promise.all(Array.from({ length: ZK_REQUESTS }, () => ask(ZK_MODEL_ID, "zkml")));
    const forged = await ask(FORGED_MODEL_ID, "zkml");
    const wrong = await ask(WRONG_MODEL_ID, "vanilla");
    const proofs = await Promise.all(
      answers.map(async (receipt) => {
        await client.waitForProof(receipt.requestId, { timeoutMs: PROOF_TIMEOUT_MS });
        return { receipt, elapsedMs: Date.now() - receipt.verifiedAtMs };
      }),
    );
    return {
      proven: proofs.map(({ receipt }) => receipt),
      slowestProofMs: Math.max(...proofs.map(({ elapsedMs }) => elapsedMs)),
      forged,
      wrong,
      escrowFulfilled: await isFulfilled(network, escrowed, ESCROW_SECONDS * 1_000),
    };
  } finally {
    await client.close();
  }

  async function lockProven(world: SimulatedNetwork, positions: number[][]) {
    const inputs = { positions };
    const { requestId } = await lock(world, {
      operator: zkOperator.account.address,
      seconds: ESCROW_SECONDS,
      modelId: zk.model.modelId,
      mode: Mode.Zkml,
      input: Buffer.from(canonicalJson(toJson({ model: ZK_MODEL_ID, inputs }))),
      inputHash: tensorHash(requestWords(zk.model, inputs)),
    });
    return requestId;
  }
}
