import type { Signer } from "../receipts/secp256k1.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import { commitmentDigest } from "../zkml/commitmentDigest.ts";
import { ZkKeyError, type ModelReport } from "../zkml/checkModel.ts";
import { ZkModelError, ZkStatus } from "../zkml/ZkDirectory.ts";
import { BlobUnavailableError } from "./BlobReader.ts";
import type { CommitmentIndex } from "./CommitmentIndex.ts";
import { ChecksBusyError, type ModelChecks } from "./ModelChecks.ts";
import { VoteRefusedError, type Vote } from "./VoteDesk.ts";
import type { VerifierView } from "./VerifierView.ts";

/** A vote for the commitment of a model is asked for. */
export interface CommitmentVoteRequest {
  modelId: Hex;
  /** The verifier set that is to attest it. */
  setId: number;
}

export interface CommitmentDeskOptions {
  index: CommitmentIndex;
  view: VerifierView;
  checks: ModelChecks;
  voter: Signer;
  /** The ModelRegistry's. */
  domain: SettlementDomain;
}

/** Decides on votes for the commitments of registered models. A voter answers with its stake for having recomputed them. */
export class CommitmentDesk {
  readonly #options: CommitmentDeskOptions;
  readonly #deciding = new Set<Promise<Vote>>();

  constructor(options: CommitmentDeskOptions) {
    this.#options = options;
  }

  /** The same request gets the same vote again. @throws VoteRefusedError */
  async vote(request: CommitmentVoteRequest): Promise<Vote> {
    const decision = this.#decide(request);
    this.#deciding.add(decision);
    try {
      return await decision;
    } finally {
      this.#deciding.delete(decision);
    }
  }

  /** Resolves when nothing is being decided. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#deciding);
  }

  async #decide({ modelId, setId }: CommitmentVoteRequest): Promise<Vote> {
    const { index, voter, domain } = this.#options;
    const seat = await this.#seatIn(setId);
    const { registration, faults } = await this.#check(modelId);
    if (faults.length > 0) {
      throw new VoteRefusedError("faulty_model", faults.map(({ kind, message }) => `${kind}: ${message}`).join("; "));
    }
    if (registration.status !== ZkStatus.registered) {
      throw new VoteRefusedError("already_decided", `Model ${modelId} is attested already`);
    }
    const digest = commitmentDigest(domain, modelId, registration.commitment, setId);
    const given = index.voteOn(digest);
    if (given) return { seat, signature: given };
    const signature = voter.sign(digest);
    index.addVote(digest, modelId, signature);
    return { seat, signature };
  }

  async #seatIn(setId: number): Promise<number> {
    const { view, voter } = this.#options;
    const [usableUntil, now] = await Promise.all([view.setUsableUntil(setId), view.nextBlockTime()]);
    if (usableUntil === undefined || usableUntil < now) {
      throw new VoteRefusedError("set_not_usable", `Expected a verifier set that may vote now, found set ${setId}`);
    }
    const seat = (await view.verifierSet(setId)).signers.indexOf(voter.address);
    if (seat < 0) throw new VoteRefusedError("not_seated", `${voter.address} has no seat in verifier set ${setId}`);
    return seat;
  }

  async #check(modelId: Hex): Promise<ModelReport> {
    try {
      return await this.#options.checks.check(modelId);
    } catch (cause) {
      if (cause instanceof ZkModelError) throw new VoteRefusedError("not_registered", cause.message, { cause });
      if (cause instanceof ZkKeyError) throw new VoteRefusedError("key_unavailable", cause.message, { cause });
      if (cause instanceof BlobUnavailableError || cause instanceof ChecksBusyError) {
        throw new VoteRefusedError(cause.code, cause.message, { cause });
      }
      throw cause;
    }
  }
}
