import { Listr, PRESET_TIMER, type ListrTask } from "listr2";

import { keyDigest, type VerifyingKey } from "../../zkml/keys/ShapeKey.ts";
import { KeyStore, type StoredKey } from "../../zkml/keys/KeyStore.ts";
import type { ModelVector } from "../../zkml/modelVector.ts";
import { Prover } from "../../zkml/prover/Prover.ts";
import type { Shape } from "../../zkml/shape.ts";
import { ZkFormatError } from "../../zkml/ZkError.ts";
import type { Hex } from "../../receipts/types.ts";

/** Steps of L's phase 2 take minutes. */
const TIMEOUT_MS = 60 * 60_000;

/** What commands prove and check with. */
export interface Workspace {
  prover: Prover;
  keys: KeyStore;
}

/** Which of a shape's keys. */
export type KeyKind = "development" | "ceremony";

export const KEY_KINDS: readonly KeyKind[] = ["development", "ceremony"];

/** Runs with a prover of its own, whose process ends afterwards whatever happens. */
export async function withWorkspace<T>(work: (workspace: Workspace) => Promise<T>): Promise<T> {
  const prover = new Prover({ memoryMiB: 4096, timeoutMs: TIMEOUT_MS });
  try {
    return await work({ prover, keys: new KeyStore(prover) });
  } finally {
    await prover.close();
  }
}

/** Runs steps one after the other and shows them; with `json` shows none, since stdout is for JSON then. */
export const runSteps = async (steps: ListrTask[], json: boolean | undefined): Promise<void> => {
  const options = { collectErrors: false as const };
  const renderer = json
    ? new Listr(steps, { ...options, renderer: "silent" as const })
    : new Listr(steps, {
        ...options,
        rendererOptions: { timer: PRESET_TIMER },
        fallbackRendererOptions: { timer: PRESET_TIMER },
      });
  await renderer.run();
};

/**
 * The key at hand whose digest is this: one that a ceremony made and was installed, or the development key.
 * @throws ZkFormatError when neither has it.
 */
export async function keyOfDigest({ keys }: Workspace, shape: Shape, digest: Hex): Promise<StoredKey> {
  const development = await keys.development(shape);
  if (keyDigest(development.key) === digest) return development;
  const ceremony = await keys.ceremony(shape).catch(ignoreMissing);
  if (ceremony && keyDigest(ceremony.key) === digest) return ceremony;
  throw new ZkFormatError(
    `Expected a key of shape ${shape.name} with digest ${digest}, found ${digestsOf(development.key, ceremony?.key)}: ` +
      "install the ceremony's key with zk ceremony finalize",
  );
}

/** Computes commitments in the prover, which is ten times as fast. */
export const folding =
  ({ prover }: Workspace) =>
  ({ key, file }: StoredKey, vector: ModelVector) =>
    prover.fold(key.shape, file, vector);

const digestsOf = (...keys: (VerifyingKey | undefined)[]): string =>
  keys.flatMap((key) => (key ? [keyDigest(key)] : [])).join(" and ");

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ZkFormatError)) throw error;
}
