import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import { OpgPriceFeed__factory } from "../../../typechain-types/index.ts";
import type { OpgPriceFeed } from "../../../typechain-types/index.ts";

export const TERMS = { quorum: 3, maxAge: 3_600, maxSpreadBps: 500, maxStepBps: 1_000 } as const;

/** US dollars with the feed's 8 decimals. */
export const usd = (dollars: number): bigint => BigInt(Math.round(dollars * 1e8));

/** A feed with four reporters that has not heard from any. */
export interface FeedStage {
  connection: NetworkConnection;
  feed: OpgPriceFeed;
  owner: HardhatEthersSigner;
  reporters: HardhatEthersSigner[];
  stranger: HardhatEthersSigner;
  /** Reports prices of the first reporters, each observed when it is mined. */
  reportAll: (...dollars: number[]) => Promise<void>;
  /** Moves the clock. */
  pass: (seconds: number) => Promise<void>;
  now: () => Promise<number>;
}

export async function deployFeed(): Promise<FeedStage> {
  const connection = await network.create();
  const [owner, stranger, ...reporters] = (await connection.ethers.getSigners()).slice(0, 6) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    ...HardhatEthersSigner[],
  ];
  const feed = await new OpgPriceFeed__factory(owner).deploy(owner, TERMS, reporters);
  const { time } = connection.networkHelpers;
  const now = () => time.latest();
  return {
    connection,
    feed,
    owner,
    reporters,
    stranger,
    reportAll: async (...dollars) => {
      for (const [i, price] of dollars.entries()) {
        const at = (await now()) + 1;
        await time.setNextBlockTimestamp(at);
        await feed.connect(reporters[i]).report(usd(price), at);
      }
    },
    pass: async (seconds) => {
      await time.increase(seconds);
    },
    now,
  };
}
