import { ContractFactory, Wallet } from "ethers";
import { pino } from "pino";

import { connectChain } from "../../../simulator/chain/connectChain.ts";
import type { Chain } from "../../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { OPG__factory } from "../../../typechain-types/index.ts";
import type { OPG } from "../../../typechain-types/index.ts";

export const silent = pino({ level: "silent" });

/** A fresh embedded chain, a connection to it and OPG, whose supply account 0 holds. */
export interface LocalChain {
  readonly embedded: EmbeddedChain;
  readonly chain: Chain;
  readonly opg: OPG;
  /** Wallets without a provider: they only sign. */
  readonly wallets: readonly Wallet[];
  rpc(method: string, ...params: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

export async function startLocalChain(): Promise<LocalChain> {
  const embedded = new EmbeddedChain({ logger: silent });
  await embedded.start();
  const chain = await connectChain({ url: embedded.url });
  const wallets = devAccounts().map(({ privateKey }) => new Wallet(privateKey));
  const deployer = (wallets[0] as Wallet).connect(chain.provider);
  const factory = new ContractFactory(OPG__factory.abi, OPG__factory.bytecode, deployer);
  const deployment = await factory.deploy(deployer.address);
  await deployment.waitForDeployment();
  return {
    embedded,
    chain,
    opg: OPG__factory.connect(await deployment.getAddress(), chain.provider),
    wallets,
    rpc: (method, ...params) => chain.provider.send(method, params) as Promise<unknown>,
    async close() {
      chain.close();
      await embedded.stop();
    },
  };
}

/** Waits for `condition` in small steps. @throws when it does not become true within `boundMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, boundMs = 10_000): Promise<void> {
  const end = performance.now() + boundMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Not true within ${boundMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
