import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { expect } from "chai";

import { ChainUnreachableError, connectChain } from "../../../simulator/chain/connectChain.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { silent } from "./localChain.ts";

describe("connectChain", () => {
  const closing: (() => unknown)[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function startChain(options: { blockTimeSeconds?: number } = {}) {
    const embedded = new EmbeddedChain({ logger: silent, ...options });
    await embedded.start();
    closing.push(() => embedded.stop());
    return embedded;
  }

  /** A node behind something that drops the first `drops` requests of each kind in some way. */
  async function startUnreliable(
    url: string,
    drops: number,
    drop: (request: IncomingMessage, response: ServerResponse) => void,
  ) {
    const seen = new Map<string, number>();
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        const method = /"method":"(\w+)"/.exec(body)?.[1] ?? "";
        const count = (seen.get(method) ?? 0) + 1;
        seen.set(method, count);
        if (method !== "eth_chainId" && count <= drops) return drop(request, response);
        void fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } })
          .then((answer) => answer.text())
          .then((text) => response.setHeader("content-type", "application/json").end(text));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
  }

  it("nothingListens_throwsChainUnreachable", async () => {
    const embedded = await startChain();
    const { url } = embedded;
    await embedded.stop();
    const error = await connectChain({ url }).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(ChainUnreachableError);
    expect((error as Error).message).to.include(url);
  });

  it("connectionsReset_asksAgain", async () => {
    const { url } = await startChain();
    const unreliable = await startUnreliable(url, 2, (request) => request.socket.resetAndDestroy());
    const chain = await connectChain({ url: unreliable.url });
    closing.push(() => chain.close());
    expect(await chain.provider.getBlockNumber()).to.equal(0);
    expect(unreliable.seen.get("eth_blockNumber")).to.equal(3);
  });

  it("answers503_asksAgainButNotForeverAndNeverForWhatCannotBeRepeated", async () => {
    const { url } = await startChain();
    const unreliable = await startUnreliable(url, 2, (_, response) => response.writeHead(503).end());
    const chain = await connectChain({ url: unreliable.url, retries: 1 });
    closing.push(() => chain.close());
    expect(await chain.provider.getBlockNumber().catch(() => "failed")).to.equal("failed");
    expect(unreliable.seen.get("eth_blockNumber")).to.equal(2);
    expect(await chain.provider.send("evm_mine", []).catch(() => "failed")).to.equal("failed");
    expect(unreliable.seen.get("evm_mine")).to.equal(1);
  });

  it("head_blocksByInterval_tellsEachListenerOnceForEachChange", async () => {
    const { url } = await startChain({ blockTimeSeconds: 1 });
    const chain = await connectChain({ url });
    closing.push(() => chain.close());
    const numbers: number[] = [];
    await new Promise<void>((resolve) => {
      const end = chain.head.subscribe(({ number }) => {
        numbers.push(number);
        if (number >= 2) queueMicrotask(() => (end(), resolve()));
      });
    });
    expect(new Set(numbers).size).to.equal(numbers.length);
    expect(numbers.at(-1)).to.equal(2);
  });

  it("embeddedChain_devAccounts_haveEther", async () => {
    const embedded = await startChain();
    const chain = await connectChain({ url: embedded.url });
    closing.push(() => chain.close());
    expect(chain.chainId).to.equal(31337n);
    expect(embedded.accounts).to.have.length(20);
    for (const { address } of embedded.accounts) {
      expect(await chain.provider.getBalance(address)).to.equal(10_000n * 10n ** 18n);
    }
  });
});
