import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { pino } from "pino";

import { parametersFile, readDeploymentParameters } from "../ignition/deploymentParameters.ts";
import { readIgnitionDeployment } from "../ignition/readIgnitionDeployment.ts";
import { saveAddressBook } from "../simulator/chain/addressBook.ts";
import type { AddressBook } from "../simulator/chain/addressBook.ts";
import { checkDeployment } from "../simulator/chain/checkDeployment.ts";
import { connectChain } from "../simulator/chain/connectChain.ts";
import { connectContracts } from "../simulator/chain/contracts.ts";
import { addressBookOf, deployOpenGradient } from "../simulator/chain/deployOpenGradient.ts";
import { devAccounts } from "../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../simulator/chain/EmbeddedChain.ts";
import { hardhatRuntime } from "../simulator/chain/hardhatRuntime.ts";

const HELP = `Writes deployments/<network>.json from the network's Ignition deployment, after checking it on chain.

  npm run deployments -- --network baseSepolia
  npm run deployments -- --network localhost --fresh

  --network NAME      network of hardhat.config.ts
  --parameters FILE   what it was deployed with; default ignition/parameters/NAME.json
  --fresh             deploy to a fresh embedded chain instead: on a fresh local node the addresses are always the same
`;

const { values } = parseArgs({
  options: {
    network: { type: "string" },
    parameters: { type: "string" },
    fresh: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function bookOfIgnition(network: string, parametersPath: string | URL): Promise<AddressBook> {
  const hre = await hardhatRuntime();
  const config = hre.config.networks[network];
  if (config?.type !== "http") {
    throw new Error(`Expected a network of hardhat.config.ts reached by HTTP, found "${network}"; or add --fresh`);
  }
  const chain = await connectChain({ url: await config.url.getUrl() });
  try {
    const folder = fileURLToPath(new URL(`../ignition/deployments/chain-${chain.chainId}`, import.meta.url));
    const parameters = await readDeploymentParameters(parametersPath);
    const book = addressBookOf(await readIgnitionDeployment(folder), { network, chainId: chain.chainId, parameters });
    await checkDeployment(connectContracts(book, chain.provider), parameters);
    return book;
  } finally {
    chain.close();
  }
}

async function bookOfFreshChain(network: string, parametersPath: string | URL): Promise<AddressBook> {
  const embedded = new EmbeddedChain({ logger: pino({ level: "warn" }) });
  await embedded.start();
  const chain = await connectChain({ url: embedded.url });
  try {
    const [deployer] = devAccounts(1);
    if (!deployer) throw new Error("No development account");
    const parameters = await readDeploymentParameters(parametersPath);
    const book = await deployOpenGradient({ chain, deployerKey: deployer.privateKey, network, parameters });
    await checkDeployment(connectContracts(book, chain.provider), parameters);
    return book;
  } finally {
    chain.close();
    await embedded.stop();
  }
}

if (values.help || values.network === undefined) {
  console.log(HELP);
  process.exitCode = values.help ? 0 : 1;
} else {
  const { network, fresh } = values;
  const parametersPath = values.parameters ?? parametersFile(network);
  const book = await (fresh ? bookOfFreshChain(network, parametersPath) : bookOfIgnition(network, parametersPath));
  console.log(`Wrote ${await saveAddressBook(book)}`);
}
