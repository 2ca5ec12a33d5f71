import { parseArgs } from "node:util";

import { connectChain } from "../simulator/chain/connectChain.ts";
import { installLocalX402 } from "../simulator/chain/x402/installLocalX402.ts";
import { x402Addresses } from "../simulator/chain/x402/x402Addresses.ts";

const HELP = `Puts what x402's clients and facilitators expect on a running local chain (hardhat node, anvil): docs/contracts/local-payments.md.

  npm run x402:install -- --rpc http://localhost:8545
`;

const { values } = parseArgs({
  options: { rpc: { type: "string", default: "http://localhost:8545" }, help: { type: "boolean", default: false } },
});

if (values.help) {
  console.log(HELP);
} else {
  const chain = await connectChain({ url: values.rpc });
  try {
    const installed = await installLocalX402(chain);
    for (const name of installed) console.log(`${x402Addresses[name]}  ${name}`);
    console.log(installed.length === 0 ? "Everything was there already" : `Put ${installed.length} contracts there`);
  } finally {
    chain.close();
  }
}
