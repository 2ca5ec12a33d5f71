/** A lane and its node in a process of their own, to be killed. Settings come as JSON in LANE; prints its URL. */
import { LaneFixture } from "./laneFixture.ts";

export interface LaneProcessSettings {
  directory: string;
  upstreamUrl: string;
}

const settings = JSON.parse(process.env["LANE"] ?? "{}") as LaneProcessSettings;
const fixture = new LaneFixture(settings);
// every channel holds plenty
fixture.options = {
  readChannels: (ids) =>
    Promise.resolve(
      ids.map(() => ({ balanceWei: 10n ** 18n, claimedWei: 0n, withdrawRequestedAt: 0, refundNonce: 0n })),
    ),
};
await fixture.open();
console.log(fixture.url);
