import { contractRevertOf } from "../../chain/ContractRevertError.ts";
import type { TransactionSubmitter } from "../../chain/TransactionSubmitter.ts";
import type { Hex } from "../../receipts/types.ts";
import type { BlobId } from "../../storage/BlobStore.ts";
import type { ModelRegistry } from "../../../typechain-types/index.ts";
import { PublishError } from "./PublishError.ts";
import type { PublishProgress } from "./publishZkModel.ts";

export interface RepositoryText {
  /** Unique among the owner's. */
  name: string;
  /** SPDX identifier or URI. */
  licence: string;
  metadataUri?: string;
}

export interface VersionTerms {
  /** Least fee, wei of OPG. */
  priceWei: bigint;
  royaltyBps: number;
  /** Bitmap of the modes besides ZKML, which comes with the attestation: bit 0 VANILLA, bit 2 TEE. */
  modes: number;
}

type TellProgress = (progress: PublishProgress) => void;

/** The owner's repository, created when it does not exist. @throws PublishError */
export async function ensureRepository(
  models: ModelRegistry,
  submitter: TransactionSubmitter,
  repository: bigint | RepositoryText,
  tell: TellProgress,
): Promise<bigint> {
  if (typeof repository === "bigint") {
    const { owner } = await models.repository(repository);
    if (owner.toLowerCase() !== submitter.address) {
      throw new PublishError(
        "not_owner",
        `Expected repository ${repository} of ${submitter.address}, found ${owner}'s`,
      );
    }
    tell({ step: "repository", repositoryId: repository });
    return repository;
  }
  const { name, licence, metadataUri = "" } = repository;
  if (await isNameTaken(models, submitter.address, repository)) {
    const repositoryId = await findRepository(models, submitter.address, name);
    tell({ step: "repository", repositoryId });
    return repositoryId;
  }
  const call = models.createRepository.populateTransaction(name, licence, metadataUri);
  const receipt = await submitter.submit(call, { label: `createRepository ${name}` });
  const repositoryId = models.interface.parseLog(receipt.logs[0]!)!.args.repositoryId as bigint;
  tell({ step: "repository", repositoryId, transactionHash: receipt.hash as Hex });
  return repositoryId;
}

async function isNameTaken(models: ModelRegistry, owner: Hex, { name, licence }: RepositoryText): Promise<boolean> {
  try {
    await models.createRepository.staticCall(name, licence, "", { from: owner });
    return false;
  } catch (error) {
    const revert = contractRevertOf(error);
    if (revert?.errorName === "NameTaken") return true;
    throw revert ?? error;
  }
}

/** From the newest on: it is most likely that of an attempt before. */
async function findRepository(models: ModelRegistry, address: Hex, name: string): Promise<bigint> {
  for (let id = await models.repositoryCount(); id > 0n; id--) {
    const { owner, name: found } = await models.repository(id);
    if (found === name && owner.toLowerCase() === address) return id;
  }
  throw new PublishError("not_owner", `${address} has handed its repository ${name} over: choose another name`);
}

/** The repository's version with this content, published when there is none. @returns its modelId. */
export async function ensureVersion(
  models: ModelRegistry,
  submitter: TransactionSubmitter,
  repositoryId: bigint,
  { contentHash, blobId }: { contentHash: Hex; blobId: BlobId },
  { priceWei, royaltyBps, modes }: VersionTerms,
  tell: TellProgress,
): Promise<Hex> {
  const { versions } = await models.repository(repositoryId);
  for (let number = versions; number > 0n; number--) {
    const modelId = (await models.modelIdOf(repositoryId, number)) as Hex;
    const version = await models.version(modelId);
    if (version.contentHash !== contentHash || version.blobId !== blobId) continue;
    tell({ step: "version", modelId });
    return modelId;
  }
  const terms = { contentHash, blobId, price: priceWei, royaltyBps, modes };
  const call = models.publishVersion.populateTransaction(repositoryId, terms);
  const receipt = await submitter.submit(call, { label: `publishVersion in ${repositoryId}` });
  const modelId = models.interface.parseLog(receipt.logs[0]!)!.args.modelId as Hex;
  tell({ step: "version", modelId, transactionHash: receipt.hash as Hex });
  return modelId;
}
