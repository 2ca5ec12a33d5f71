import type { Chain } from "../../chain/connectChain.ts";
import type { TransactionSubmitter } from "../../chain/TransactionSubmitter.ts";
import type { Hex } from "../../receipts/types.ts";
import { registeredVerifiers } from "../../settlement/registeredVerifiers.ts";
import type { BlobId, BlobStore } from "../../storage/BlobStore.ts";
import { chainKey, type ModelCheckOptions } from "../checkModel.ts";
import { commitmentOf } from "../commitment.ts";
import { type G1Point, samePoint } from "../curve.ts";
import { manifestHash } from "../manifest.ts";
import { encodeModelBlob, type ZkModelBlob } from "../modelBlob.ts";
import { ZkDirectory, ZkStatus } from "../ZkDirectory.ts";
import { attestCommitment } from "./attestCommitment.ts";
import { ensureBond } from "./ensureBond.ts";
import { ensureRepository, ensureVersion, type RepositoryText, type VersionTerms } from "./ensureVersion.ts";
import { PublishError } from "./PublishError.ts";

/** What publishing has come to. A step whose work was done before tells so by the lack of a transaction. */
export type PublishProgress =
  | { step: "stored"; blobId: BlobId }
  | { step: "committed"; commitment: G1Point }
  | { step: "repository"; repositoryId: bigint; transactionHash?: Hex }
  | { step: "version"; modelId: Hex; transactionHash?: Hex }
  | { step: "bonded"; depositedWei: bigint; transactionHash?: Hex }
  | { step: "registered"; modelId: Hex; transactionHash?: Hex; gasUsed?: bigint }
  | { step: "voted"; approvingWei: bigint; totalWei: bigint }
  | { step: "attested"; modelId: Hex; transactionHash?: Hex };

export interface PublishOptions extends Pick<ModelCheckOptions, "keyOf" | "fold"> {
  chain: Chain;
  contracts: { models: Hex; nodes: Hex; settlement: Hex };
  /** The owner's account: has the OPG for the bond, and pays for gas. */
  owner: TransactionSubmitter;
  blobs: Pick<BlobStore, "put" | "get">;
  /** The quantised model; its manifest names the shape's number in the registry, see `ZkDirectory.numberOf`. */
  model: ZkModelBlob;
  /** A repository of the owner by its number, or by its name, under which it is created when it does not exist. */
  repository: bigint | RepositoryText;
  terms: VersionTerms;
  /** Base URLs of the verifiers to ask. Default: all that are registered. */
  verifiers?: () => Promise<readonly string[]>;
  /** For the verifiers' answers. Default 60 s: each recomputes the commitment. */
  voteTimeoutMs?: number;
  onProgress?: (progress: PublishProgress) => void;
  signal?: AbortSignal;
}

/**
 * Publishes a model for mode ZKML: stores its blob, publishes a version, locks the bond, registers the commitment, collects the verifiers'
 * votes for it and has it attested. Every step looks at the chain first, so after a failure or a crash the same call goes on.
 *
 * @returns the version's modelId.
 * @throws PublishError; ZkKeyError, ZkFormatError, ZkRangeError and ZkModelError for a model that is none of its shape; what chain and blob store throw.
 */
export async function publishZkModel(options: PublishOptions): Promise<Hex> {
  const { chain, contracts, owner, model, repository, terms, signal } = options;
  const tell = options.onProgress ?? (() => undefined);
  const directory = new ZkDirectory(chain.provider, contracts.models, options.blobs);
  const commitment = await commit(directory, options);
  tell({ step: "committed", commitment });
  const blobId = await options.blobs.put(encodeModelBlob(model));
  tell({ step: "stored", blobId });

  signal?.throwIfAborted();
  const repositoryId = await ensureRepository(directory.models, owner, repository, tell);
  const content = { contentHash: manifestHash(model.manifest), blobId };
  const modelId = await ensureVersion(directory.models, owner, repositoryId, content, terms, tell);

  signal?.throwIfAborted();
  const status = await ensureRegistered(directory, options, { repositoryId, modelId, commitment });
  if (status === ZkStatus.registered) {
    const verifiers = options.verifiers ?? (() => registeredVerifiers(chain, contracts.nodes));
    const timeoutMs = options.voteTimeoutMs ?? 60_000;
    await attestCommitment(
      { chain, contracts, directory, owner, verifiers, timeoutMs, signal, tell },
      modelId,
      commitment,
    );
  } else {
    tell({ step: "attested", modelId });
  }
  return modelId;
}

async function commit(directory: ZkDirectory, { model, keyOf, fold }: PublishOptions): Promise<G1Point> {
  const key = await chainKey(directory, model.manifest.shape, keyOf);
  return fold ? fold(key, model.vector) : commitmentOf(key.key, model.vector);
}

/** @returns where the version stands afterwards. */
async function ensureRegistered(
  directory: ZkDirectory,
  { chain, owner, model, onProgress: tell = () => undefined }: PublishOptions,
  { repositoryId, modelId, commitment }: { repositoryId: bigint; modelId: Hex; commitment: G1Point },
): Promise<ZkStatus> {
  const { status, commitment: registered } = await directory.registration(modelId);
  if (status === ZkStatus.wrong) {
    throw new PublishError("proven_wrong", `The commitment of ${modelId} was proven wrong: publish another version`);
  }
  if (status === ZkStatus.none) {
    await ensureBond(chain, directory, owner, repositoryId, tell);
    const call = directory.versions.registerZk.populateTransaction(modelId, model.manifest, ...commitment);
    const receipt = await owner.submit(call, { label: `registerZk ${modelId.slice(0, 10)}` });
    tell({ step: "registered", modelId, transactionHash: receipt.hash as Hex, gasUsed: receipt.gasUsed });
    return ZkStatus.registered;
  }
  if (!samePoint(registered, commitment)) {
    throw new PublishError(
      "registered_otherwise",
      `Expected the commitment (${commitment.join(", ")}) of ${modelId} on chain, found (${registered.join(", ")}): ` +
        "withdraw the registration, or publish another version",
    );
  }
  tell({ step: "registered", modelId });
  return status;
}
