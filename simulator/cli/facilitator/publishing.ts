import { Wallet } from "ethers";
import type { Logger } from "pino";
import type { Chain } from "../../chain/connectChain.ts";
import type { DataJobStore } from "../../facilitator/data/DataJobStore.ts";
import type { DataSettlement } from "../../facilitator/http/dataRoutes.ts";
import type { BlobStore } from "../../storage/BlobStore.ts";
import type { RunOptions } from "./runCommand.ts";

interface Parts {
  chain: Chain;
  jobs: DataJobStore;
  logger: Logger;
}

/** What the facilitator does with reported answers and heartbeats; nothing without `--tee-verifier`. */
export async function publishingOf(
  options: RunOptions,
  { chain, jobs, logger }: Parts,
): Promise<DataSettlement | undefined> {
  const { teeVerifier, heartbeatKey, batchSize, batchSeconds } = options;
  if (teeVerifier === undefined) return undefined;
  const { DataSettler } = await import("../../facilitator/data/DataSettler.ts");
  const { HeartbeatRelay } = await import("../../facilitator/data/HeartbeatRelay.ts");
  const { TeeStatementCheck } = await import("../../facilitator/data/TeeStatementCheck.ts");
  const check = new TeeStatementCheck(chain.provider, teeVerifier);
  const registry = await check.registry().catch((error: unknown) => {
    throw new Error(`--tee-verifier ${teeVerifier} is no TEEInferenceVerifier on this chain`, { cause: error });
  });
  const blobs = await blobStoreOf(options);
  return {
    jobs,
    check,
    settler: new DataSettler({ jobs, blobs, logger, batchSize, batchMs: batchSeconds * 1000 }),
    ...(heartbeatKey !== undefined && {
      heartbeats: new HeartbeatRelay({ chain, registry, signer: new Wallet(heartbeatKey), logger }),
    }),
  };
}

async function blobStoreOf({ blobs, aggregator }: RunOptions): Promise<BlobStore> {
  if (/^https?:/.test(blobs)) {
    const { WalrusBlobStore } = await import("../../storage/WalrusBlobStore.ts");
    return new WalrusBlobStore({ publisherUrl: blobs, aggregatorUrl: aggregator! });
  }
  const { LocalBlobStore } = await import("../../storage/LocalBlobStore.ts");
  return new LocalBlobStore(blobs);
}
