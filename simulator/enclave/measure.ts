import { createHash, type Hash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { measured, type Measurements } from "./SoftwareNsm.ts";

/** The code cannot be measured as it is. */
export class MeasurementError extends Error {
  override readonly name = "MeasurementError";
  readonly code = "measurement_error";
}

export interface MeasuredCode {
  /** What of the code runs, so that nodes of different kinds are told apart: "llm-proxy". Measured too. */
  application: string;
  /** Folder of package-lock.json and the sources; default: this repository. */
  root?: string;
  /** Every file in these is measured, whatever its name; default: the simulator and the bindings it imports. */
  directories?: readonly string[];
  /** Default: the running one's. */
  nodeVersion?: string;
}

/**
 * Measures code by AWS's rule, each register being SHA-384(zeros ‖ SHA-384(content)).
 * PCR1 is what boots: the version of Node and package-lock.json, which names every library by its hash. PCR2 is what runs on it: the application's name and
 * all sources. PCR0 is both.
 * @throws MeasurementError
 */
export function measureCode(code: MeasuredCode): Measurements {
  const root = code.root ?? fileURLToPath(new URL("../..", import.meta.url));
  const boot: Item[] = [
    ["node", Buffer.from(code.nodeVersion ?? process.version, "utf8")],
    ["package-lock.json", readFileSync(join(root, "package-lock.json"))],
  ];
  const sources = (code.directories ?? ["simulator", "typechain-types"]).flatMap((directory) =>
    filesUnder(root, directory),
  );
  const application: Item[] = [
    ["application", Buffer.from(code.application, "utf8")],
    ...sources.sort(byteOrder).map((path): Item => [path, readFileSync(join(root, path))]),
  ];
  return { pcr0: register([...boot, ...application]), pcr1: register(boot), pcr2: register(application) };
}

/** What an image is approved by: keccak256(PCR0 ‖ PCR1 ‖ PCR2). */
export const pcrHashOf = ({ pcr0, pcr1, pcr2 }: Measurements): Hex => keccak256(Buffer.concat([pcr0, pcr1, pcr2]));

/** A file's path, or a name that is none, and what is there. */
type Item = readonly [name: string, content: Buffer];

function register(items: readonly Item[]): Buffer {
  const hash = createHash("sha384");
  for (const [name, content] of items) {
    putFramed(hash, Buffer.from(name, "utf8"));
    putFramed(hash, content);
  }
  return measured(hash.digest());
}

/** Length first, so that no two lists of items are the same bytes. */
function putFramed(hash: Hash, bytes: Buffer): void {
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(bytes.length));
  hash.update(length).update(bytes);
}

/** Paths from `root` of all files in a folder, with `/` on every system. */
function filesUnder(root: string, directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) return filesUnder(root, path);
    // What a link points to may change without a change here.
    if (!entry.isFile()) throw new MeasurementError(`Expected only files and folders to measure, found ${path}`);
    return [path];
  });
}

/** The same order on every machine, unlike a locale's or a file system's. */
const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
