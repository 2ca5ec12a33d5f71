import { type JsonRpcProvider, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain, type Chain } from "../../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { OPG__factory, type OPG } from "../../../typechain-types/index.ts";

/** An embedded chain with OPG on it. */
export interface LocalChain extends Chain {
  opg: OPG;
  asset: Hex;
  /** Hardhat's accounts, each with ETH; 0 holds the OPG at first. */
  account(index: number): Wallet;
  stop(): Promise<void>;
}

/** @param embedded not started; default: one that mines every transaction at once. */
export async function startLocalChain(
  embedded = new EmbeddedChain({ logger: pino({ level: "silent" }) }),
): Promise<LocalChain> {
  await embedded.start();
  const chain = await connectChain({ url: embedded.url });
  const keys = devAccounts();
  const account = (index: number): Wallet => new Wallet(keys[index]!.privateKey, chain.provider);
  const opg = await new OPG__factory(account(0)).deploy(account(0).address);
  await opg.waitForDeployment();
  return {
    ...chain,
    opg,
    asset: (await opg.getAddress()).toLowerCase() as Hex,
    account,
    stop: async () => {
      chain.close();
      await embedded.stop();
    },
  };
}

/** The chain as an actor sees it whose provider answers some calls differently. */
export function withProvider(chain: LocalChain, changes: Partial<JsonRpcProvider>): Chain {
  const provider = new Proxy(chain.provider, {
    get: (target, name): unknown => {
      const value: unknown = Reflect.get(name in changes ? changes : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...chain, provider };
}

/** Keeps transactions in the pool until the returned function is called. */
export async function holdBlocks(chain: Chain): Promise<() => Promise<void>> {
  await chain.provider.send("evm_setAutomine", [false]);
  return async () => {
    await chain.provider.send("evm_setAutomine", [true]);
    await chain.provider.send("hardhat_mine", ["0x1"]);
  };
}
