import { setImmediate } from "node:timers/promises";

import { headerTotal, headerTotalChallenge, lieExplains, totalLieChallenge, type TotalLie } from "./challenge.ts";
import type { Fault } from "./Fault.ts";
import type { OpenBatch } from "./openBatch.ts";

/** Compares a header's root, count and fees with its receipts. */
export async function checkTotals(batch: OpenBatch): Promise<Fault[]> {
  const { header, tree } = batch;
  const { hash, total } = tree.root;
  if (hash === header.root) return headerFaults(batch, total);
  const lie = await findTotalLie(batch);
  if (!lie) return [{ kind: "root", message: `Expected root ${header.root}, found ${hash}` }];
  const honest = tree.levels[lie.level]![lie.index]!.total;
  const message = `Expected ${describeTotal(honest)} below node ${lie.index} of level ${lie.level}, found ${describeTotal(lie.claimedTotal)}`;
  return [{ ...placeOf(batch, lie), message, challenge: totalLieChallenge(batch, lie) }];
}

function placeOf({ positions }: OpenBatch, { level, index }: TotalLie): Pick<Fault, "kind" | "leaf"> {
  if (level > 0) return { kind: "node-total" };
  const leaf = positions.indexOf(index);
  return leaf < 0 ? { kind: "proof-missing", leaf: positions.indexOf(index - 1) } : { kind: "leaf-total", leaf };
}

function headerFaults(batch: OpenBatch, total: bigint): Fault[] {
  const { count, fees } = batch.header;
  const faults: Fault[] = [];
  if (count !== batch.receipts.length) {
    faults.push({ kind: "count", message: `Expected a count of ${batch.receipts.length}, found ${count}` });
  }
  if (fees !== total >> 32n) {
    faults.push({ kind: "fees", message: `Expected fees of ${total >> 32n} wei, found ${fees}` });
  }
  return faults.map((fault) => ({ ...fault, challenge: headerTotalChallenge(batch) }));
}

/** Candidates between two turns of the event loop: some 5 ms. */
const CANDIDATES_A_TURN = 128;

/**
 * A blob does not show the totals its operator put into the tree, but a lie that pays has to reach the header: when one node is
 * counted wrong, it is by the difference between the header's total and the receipts'. So every node is tried with that.
 * @returns undefined when no single lie gives the header's root: the tree is of other receipts, or lies more than once.
 */
async function findTotalLie(batch: OpenBatch): Promise<TotalLie | undefined> {
  const difference = headerTotal(batch.header) - batch.tree.root.total;
  if (difference === 0n) return undefined;
  let tried = 0;
  for (const [level, nodes] of batch.tree.levels.slice(0, -1).entries()) {
    for (const [index, { total }] of nodes.entries()) {
      // a node that moved up without a sibling has been tried where it came from
      if (level > 0 && !batch.tree.levels[level - 1]![2 * index + 1]) continue;
      const lie = { level, index, claimedTotal: total + difference };
      if (lie.claimedTotal >= 0n && lieExplains(batch, lie)) return lie;
      if (++tried % CANDIDATES_A_TURN === 0) await setImmediate();
    }
  }
  return undefined;
}

const describeTotal = (total: bigint): string => `${total & 0xffffffffn} receipts and ${total >> 32n} wei`;
