import { setImmediate } from "node:timers/promises";

import type { SettlementHasher } from "../receipts/eip712.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import type { Hex, Mode } from "../receipts/types.ts";
import { receiptChallenge } from "./challenge.ts";
import type { Fault } from "./Fault.ts";
import type { OpenBatch } from "./openBatch.ts";

/** NodeRegistry's answer: whose receipts `key` signed in `mode` at `servedAt`; undefined for nobody's. */
export type SignerLookup = (key: Hex, mode: Mode, servedAt: bigint) => Promise<Hex | undefined>;

/** Receipts that one key signed in one mode. */
interface SignedGroup {
  key: Hex;
  mode: Mode;
  leaves: number[];
}

/** Signatures recovered between two turns of the event loop: some 10 ms. */
const SIGNATURES_A_TURN = 256;

/** Checks every receipt's signature and signer. @returns the first fault of each kind. */
export async function checkSigners(
  batch: OpenBatch,
  hasher: SettlementHasher,
  operatorOf: SignerLookup,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  const groups = new Map<string, SignedGroup>();
  let unsigned: number | undefined;
  for (const [leaf, { receipt, signature }] of batch.receipts.entries()) {
    const key = recoverAddress(hasher.receiptDigest(receipt), signature);
    if (key === undefined) {
      unsigned ??= leaf;
    } else {
      const group = groups.get(`${key}${receipt.mode}`) ?? { key, mode: receipt.mode, leaves: [] };
      group.leaves.push(leaf);
      groups.set(`${key}${receipt.mode}`, group);
    }
    if (leaf % SIGNATURES_A_TURN === SIGNATURES_A_TURN - 1) await setImmediate();
  }
  if (unsigned !== undefined) {
    const message = "Expected a canonical signature, found one of nobody";
    faults.push({ kind: "signature", message, leaf: unsigned, challenge: receiptChallenge(batch, unsigned) });
  }
  for (const group of groups.values()) {
    const stranger = await findStranger(batch, group, operatorOf);
    if (!stranger) continue;
    faults.push({ kind: "signer", ...stranger, challenge: receiptChallenge(batch, stranger.leaf) });
    break;
  }
  return faults;
}

/** The first receipt of a group whose key was not the operator's when it was served. */
async function findStranger(
  { header, receipts }: OpenBatch,
  { key, mode, leaves }: SignedGroup,
  operatorOf: SignerLookup,
): Promise<(Pick<Fault, "message"> & { leaf: number }) | undefined> {
  const servedAt = (leaf: number): bigint => receipts[leaf]!.receipt.servedAt;
  const byTime = [...leaves].sort((a, b) => (servedAt(a) < servedAt(b) ? -1 : 1));
  const ask = (leaf: number) => operatorOf(key, mode, servedAt(leaf));
  // A key is valid in one interval: when both ends are, so is everything between.
  const ends = await Promise.all([ask(byTime[0]!), ask(byTime.at(-1)!)]);
  if (ends.every((operator) => operator === header.operator)) return undefined;
  for (const leaf of byTime) {
    const operator = await ask(leaf);
    if (operator === header.operator) continue;
    const message = `Expected a key of ${header.operator} for mode ${mode} at ${servedAt(leaf)}, found ${key} of ${operator ?? "nobody"}`;
    return { leaf, message };
  }
  return undefined;
}
