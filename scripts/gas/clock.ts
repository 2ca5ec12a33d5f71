import { latestTimestamp, type Protocol } from "../../test/support/protocol.ts";

const STEP_SECONDS = 256;
const PHASE = 0x55;
/** 2033-07-07: a base without zero bytes, because those are cheaper as calldata. */
const BASE = 0x77777755;

/**
 * Mines a block at a time that does not depend on how fast this runs: the chain's clock follows the real one between ticks, and
 * a tick moves it on to the same phase of the next 256 seconds. So timestamps in calldata are the same in every run.
 * @param seconds at least this much later.
 * @returns the block's unix seconds.
 */
export async function tick(protocol: Protocol, seconds = 0): Promise<number> {
  const now = Math.max(await latestTimestamp(protocol), BASE - STEP_SECONDS);
  const steps = Math.floor(now / STEP_SECONDS) + Math.ceil(seconds / STEP_SECONDS) + 1;
  const next = steps * STEP_SECONDS + PHASE;
  await protocol.connection.networkHelpers.time.increaseTo(next);
  return next;
}
