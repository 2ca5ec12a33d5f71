import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve as listen } from "@hono/node-server";
import { HTTPFacilitatorClient, x402ResourceServer } from "@x402/core/server";
import { BatchSettlementEvmScheme, InMemoryChannelStorage } from "@x402/evm/batch-settlement/server";
import { FileChannelStorage } from "@x402/evm/batch-settlement/server/file-storage";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { UptoEvmScheme } from "@x402/evm/upto/server";
import { paymentMiddleware, setSettlementOverrides } from "@x402/hono";
import { Hono } from "hono";
import { Pool } from "undici";
import { privateKeyToAccount } from "viem/accounts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { serve, settings } from "../harness/serve.ts";

export interface StockSellerSettings {
  scheme: "exact" | "upto" | "batch-settlement";
  /** Of channels. */
  storage: "memory" | "file";
  upstream: string;
  facilitatorUrl: string;
  asset: Hex;
  /** Receives the payments, and authorizes claims. */
  sellerKey: Hex;
  /** What is signed for, and what a token costs where tokens are charged. */
  priceWei: string;
  weiPerToken: string;
}

/** A seller as x402's documentation would have it: Hono and the stock middleware in front of a proxy. */
const given = settings<StockSellerSettings>();
const HOUR_MS = 3_600_000;
const network = "eip155:31337";
const seller = privateKeyToAccount(given.sellerKey);
const storage =
  given.storage === "memory"
    ? new InMemoryChannelStorage()
    : new FileChannelStorage({ directory: mkdtempSync(join(tmpdir(), "stock-channels-")) });
const resources = new x402ResourceServer(new HTTPFacilitatorClient({ url: given.facilitatorUrl }))
  .register(network, new ExactEvmScheme())
  .register(network, new UptoEvmScheme())
  .register(
    network,
    new BatchSettlementEvmScheme(seller.address, {
      receiverAuthorizerSigner: seller,
      storage,
      onchainStateTtlMs: HOUR_MS,
    }),
  );

const extra = {
  name: "OpenGradient",
  version: "1",
  ...(given.scheme === "upto" && { assetTransferMethod: "permit2" }),
};
const app = new Hono();
app.use(
  paymentMiddleware(
    {
      "POST /v1/chat/completions": {
        accepts: {
          scheme: given.scheme,
          network,
          payTo: seller.address,
          price: { amount: given.priceWei, asset: given.asset, extra },
          maxTimeoutSeconds: 3_600,
        },
        description: "One inference",
        mimeType: "application/json",
      },
    },
    resources,
  ),
);
const pool = new Pool(given.upstream, { connections: 64 });
app.post("/v1/chat/completions", async (c) => {
  const { body } = await pool.request({
    method: "POST",
    path: "/v1/chat/completions",
    headers: { "content-type": "application/json" },
    body: await c.req.text(),
  });
  const answer = (await body.json()) as { usage: { total_tokens: number } };
  if (given.scheme !== "exact") {
    setSettlementOverrides(c, { amount: String(BigInt(answer.usage.total_tokens) * BigInt(given.weiPerToken)) });
  }
  return c.json(answer);
});
const server = listen({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
  serve({ url: `http://127.0.0.1:${port}` }, () => new Promise((resolve) => server.close(() => resolve()))),
);
