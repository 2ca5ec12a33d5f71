import { serve as listen } from "@hono/node-server";
import { x402Facilitator } from "@x402/core/facilitator";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/facilitator";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { UptoEvmScheme } from "@x402/evm/upto/facilitator";
import { Hono } from "hono";
import {
  concat,
  createWalletClient,
  encodeFunctionData,
  http,
  publicActions,
  type VerifyTypedDataParameters,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { serve, settings } from "../harness/serve.ts";

/** x402's facilitator, of its own packages and viem alone. */
const { chainUrl, privateKey } = settings<{ chainUrl: string; privateKey: Hex }>();
const account = privateKeyToAccount(privateKey);
// viem looks for receipts every 4 s otherwise
const client = createWalletClient({ account, chain: hardhat, transport: http(chainUrl), pollingInterval: 50 }).extend(
  publicActions,
);

let nonce = await client.getTransactionCount({ address: account.address });
let sending: Promise<unknown> = Promise.resolve();

/** Estimates many transactions at once, but sends them by their nonces: a chain that mines at once takes no others. */
async function send(to: Hex, data: Hex, gasLimit?: bigint): Promise<Hex> {
  const [gas, fees] = await Promise.all([
    gasLimit ?? client.estimateGas({ account, to, data }),
    client.estimateFeesPerGas(),
  ]);
  const sent = sending.then(async () => {
    const transaction = { type: "eip1559", chainId: hardhat.id, to, data, gas, nonce, ...fees } as const;
    const hash = await client.sendRawTransaction({ serializedTransaction: await account.signTransaction(transaction) });
    nonce++;
    return hash;
  });
  sending = sent.catch(() => undefined);
  return sent;
}

const signer = toFacilitatorEvmSigner({
  address: account.address,
  getCode: (args) => client.getCode(args),
  readContract: (args) => client.readContract({ ...args, args: args.args ?? [] }),
  verifyTypedData: (args) => client.verifyTypedData(args as VerifyTypedDataParameters),
  writeContract: ({ address, abi, functionName, args, gas, dataSuffix = "0x" }) =>
    send(address, concat([encodeFunctionData({ abi, functionName, args }), dataSuffix]), gas),
  sendTransaction: ({ to, data }) => send(to, data),
  waitForTransactionReceipt: (args) => client.waitForTransactionReceipt(args),
});
const network = `eip155:${hardhat.id}` as const;
const facilitator = new x402Facilitator()
  .register(network, new ExactEvmScheme(signer))
  .register(network, new UptoEvmScheme(signer))
  .register(network, new BatchSettlementEvmScheme(signer));

interface Call {
  paymentPayload: PaymentPayload;
  paymentRequirements: PaymentRequirements;
}

const app = new Hono();
app.get("/supported", (c) => c.json(facilitator.getSupported()));
app.post("/verify", async (c) => {
  const { paymentPayload, paymentRequirements } = await c.req.json<Call>();
  return c.json(await facilitator.verify(paymentPayload, paymentRequirements));
});
app.post("/settle", async (c) => {
  const { paymentPayload, paymentRequirements } = await c.req.json<Call>();
  return c.json(await facilitator.settle(paymentPayload, paymentRequirements));
});
const server = listen({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
  serve({ url: `http://127.0.0.1:${port}` }, () => new Promise((resolve) => server.close(() => resolve()))),
);
