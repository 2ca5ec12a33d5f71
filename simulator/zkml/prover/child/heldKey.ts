import { readKeyFile } from "../../keys/keyFile.ts";
import { ZkFormatError } from "../../ZkError.ts";

let held: { file: string; zkey: Uint8Array } | undefined;

/** The zkey of a file. The last one is kept: proofs of one shape follow each other. */
export async function heldKey(file: string): Promise<Uint8Array> {
  if (held?.file === file) return held.zkey;
  // two large keys at once would double the memory
  held = undefined;
  const zkey = await readKeyFile(file);
  if (!zkey) throw new ZkFormatError(`There is no key file ${file}`);
  held = { file, zkey };
  return zkey;
}
