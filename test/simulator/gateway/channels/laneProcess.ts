/** A lane and its node in a process of their own, to be killed. Settings come as JSON in LANE; prints its URL. */
import { LaneFixture } from "./laneFixture.ts";

export interface LaneProcessSettings {
  directory: string;
  upstreamUrl: string;
  /** Whether the lane reaches its node by HTTP. */
  remote: boolean;
}

async function main(settings: LaneProcessSettings): Promise<void> {
  const fixture = new LaneFixture(settings);
  fixture.remote = settings.remote;
  // every channel holds plenty
  fixture.options = {
    readChannels: (ids) =>
      Promise.resolve(
        ids.map(() => ({ balanceWei: 10n ** 18n, claimedWei: 0n, withdrawRequestedAt: 0, refundNonce: 0n })),
      ),
  };
  await fixture.open();
  console.log(fixture.url);
}

// test runners load every file below test/
const settings = process.env["LANE"];
if (settings !== undefined) await main(JSON.parse(settings) as LaneProcessSettings);
