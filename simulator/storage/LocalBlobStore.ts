import { randomUUID } from "node:crypto";
import { access, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { bytes32Schema } from "../receipts/types.ts";
import { BlobMismatchError, BlobNotFoundError, type BlobId, type BlobStore } from "./BlobStore.ts";
import { walrusBlobId } from "./walrusBlobId.ts";

/** Blobs as files of one directory, named by their id in hexadecimal (base64url would collide where names ignore case). */
export class LocalBlobStore implements BlobStore {
  readonly #directory: string;

  /** @param directory created when it does not exist; several processes may share it. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async put(bytes: Uint8Array): Promise<BlobId> {
    const id = await walrusBlobId(bytes);
    const stored = await this.#read(id);
    // Content that went bad on disk is replaced.
    if (!stored || !stored.equals(bytes)) await this.#write(id, bytes);
    return id;
  }

  async get(id: BlobId): Promise<Uint8Array> {
    const bytes = await this.#read(id);
    if (!bytes) throw new BlobNotFoundError(id);
    const found = await walrusBlobId(bytes);
    if (found !== id) throw new BlobMismatchError(id, found);
    return bytes;
  }

  /** Whether there is a file for `id`; its content is checked by `get`. */
  async has(id: BlobId): Promise<boolean> {
    return (await orUndefined(access(this.#pathOf(id)).then(() => true))) ?? false;
  }

  /** A blob is whole or absent after a crash: written aside, synced, renamed, and the directory synced. */
  async #write(id: BlobId, bytes: Uint8Array): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const temporary = join(this.#directory, `${randomUUID()}.tmp`);
    try {
      const file = await open(temporary, "wx");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#pathOf(id));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(this.#directory);
  }

  #read(id: BlobId): Promise<Buffer | undefined> {
    return orUndefined(readFile(this.#pathOf(id)));
  }

  /** The schema keeps anything but an id out of the path. */
  #pathOf(id: BlobId): string {
    return join(this.#directory, bytes32Schema.parse(id).slice(2));
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open directories; its rename is durable with the volume's journal.
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Undefined when the file is not there. */
async function orUndefined<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
