import { deployFeed, TERMS, usd } from "../../test/contracts/OpgPriceFeed/feedStage.ts";
import type { GasMeter } from "./GasMeter.ts";

/** 2033-07-07, without zero bytes, which are cheaper as calldata; the same in every run. */
const START = 0x77777755;
const STEP_SECONDS = 256;

/** Every function of OpgPriceFeed, with four reporters, on a chain of its own. */
export async function measurePriceFeed(gas: GasMeter): Promise<void> {
  const { connection, feed, reporters, stranger } = await deployFeed();
  let now = START;
  const report = async (i: number, name?: string) => {
    now += STEP_SECONDS;
    await connection.networkHelpers.time.setNextBlockTimestamp(now);
    const sent = feed.connect(reporters[i]).report(usd(0.12345678), now);
    await (name === undefined ? sent : gas.measure(name, sent));
  };
  await report(0);
  await report(1, "OpgPriceFeed.report (below the quorum)");
  await report(2);
  await report(3);
  await report(0, "OpgPriceFeed.report");
  await gas.measure("OpgPriceFeed.addReporter", feed.addReporter(stranger));
  await gas.measure("OpgPriceFeed.removeReporter", feed.removeReporter(reporters[0]!));
  await gas.measure("OpgPriceFeed.setTerms", feed.setTerms({ ...TERMS, maxAge: 1_800 }));
  await gas.measure("OpgPriceFeed.transferOwnership", feed.transferOwnership(stranger));
  await gas.measure("OpgPriceFeed.acceptOwnership", feed.connect(stranger).acceptOwnership());
  await gas.measure("OpgPriceFeed.renounceOwnership", feed.connect(stranger).renounceOwnership());
  await connection.close();
}
