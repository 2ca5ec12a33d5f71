import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import { ZkFormatError } from "../ZkError.ts";

/** "OGZKEY" and the version of the format. */
const MAGIC = Buffer.from("OGZKEY01", "ascii");
const HEADER_BYTES = MAGIC.length + 32;

/** Writes magic ‖ SHA-256 ‖ zkey. */
export const writeKeyFile = (path: string, zkey: Uint8Array): Promise<void> =>
  writeWhole(path, [MAGIC, createHash("sha256").update(zkey).digest(), zkey]);

/** Writes a file whole or not at all: of two processes that race, the last one's file stays. */
export async function writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(draft, parts);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * The zkey of a key file.
 *
 * @returns undefined when there is no such file.
 * @throws ZkFormatError when the file is damaged.
 */
export async function readKeyFile(path: string): Promise<Uint8Array | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const zkey = new Uint8Array(bytes.subarray(HEADER_BYTES));
  const intact =
    bytes.length > HEADER_BYTES &&
    MAGIC.equals(bytes.subarray(0, MAGIC.length)) &&
    createHash("sha256").update(zkey).digest().equals(bytes.subarray(MAGIC.length, HEADER_BYTES));
  if (!intact) throw new ZkFormatError(`The key file ${path} is damaged: delete it, it will be made again`);
  return zkey;
}
