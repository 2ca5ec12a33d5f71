/** Unix seconds of this machine. A chain that mines only on demand learns the time from its next block, so what is due is asked of both. */
export const wallTime = (): bigint => BigInt(Math.floor(Date.now() / 1_000));
