import { expect } from "chai";
import { JsonRpcProvider } from "ethers";
import { pino } from "pino";

import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";

describe("EmbeddedChain", () => {
  it("start_howeverLongItTakes_leavesTheChainInTheSystemsTime", async function () {
    this.timeout(60_000);
    const chain = new EmbeddedChain({ logger: pino({ level: "silent" }) });
    await chain.start();
    const provider = new JsonRpcProvider(chain.url, undefined, { cacheTimeout: -1 });
    try {
      const before = Math.floor(Date.now() / 1000);
      await provider.send("evm_mine", []);
      const block = await provider.getBlock("latest");
      expect(block!.timestamp).to.be.within(before - 1, Math.floor(Date.now() / 1000) + 1);
    } finally {
      provider.destroy();
      await chain.stop();
    }
  });
});
