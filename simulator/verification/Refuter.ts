import type { Hex } from "../receipts/types.ts";
import { contextSignal } from "../zkml/context.ts";
import { unpackInputs } from "../zkml/packing.ts";
import type { Prover } from "../zkml/prover/Prover.ts";
import { ChallengeUnavailableError, type Challenge, type Refutation } from "./challenge.ts";
import type { ZkModels } from "./ZkModels.ts";

export interface RefuterOptions {
  chainId: bigint;
  models: ZkModels;
  prover: Pick<Prover, "prove">;
}

/** Proves what a zk model answers, against receipts that say otherwise. */
export class Refuter {
  readonly #options: RefuterOptions;

  constructor(options: RefuterOptions) {
    this.#options = options;
  }

  /**
   * @param referee the contract that the proof is for.
   * @param challenger who sends it; the proof is worth nothing to anybody else.
   * @throws ChallengeUnavailableError when the model cannot be used any more; what `models` and the prover throw.
   */
  async prove(
    referee: Hex,
    challenger: Hex,
    { leaf, inWords }: Pick<Challenge & { method: "refute" }, "leaf" | "inWords">,
  ): Promise<Refutation> {
    const { chainId, models, prover } = this.#options;
    const { requestId, modelId } = leaf.receipt;
    const model = await models.model(modelId);
    if (!model) throw new ChallengeUnavailableError(`Model ${modelId} cannot be used in mode ZKML any more`);
    const { vector } = await models.weights(modelId);
    const inputs = unpackInputs(model.shape, inWords);
    const context = contextSignal({ chainId, consumer: referee, requestId, modelId, requester: challenger });
    return prover.prove(model.shape, model.keyFile, { vector, inputs, context });
  }
}
