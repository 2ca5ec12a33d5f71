import { HDNodeWallet, JsonRpcProvider, Mnemonic, toBeHex, type BaseWallet } from "ethers";
import hre from "hardhat";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { OPG__factory, type OPG } from "../../../typechain-types/index.ts";

const MNEMONIC = Mnemonic.fromPhrase("test test test test test test test test test test test junk");

/** An embedded Hardhat chain with OPG on it, reachable over HTTP. */
export interface LocalChain {
  url: string;
  chainId: bigint;
  provider: JsonRpcProvider;
  /** Holds the whole supply at first. */
  deployer: BaseWallet;
  opg: OPG;
  asset: Hex;
  /** Hardhat's accounts 1, 2, …, each with ETH. */
  account(index: number): BaseWallet;
  /** A provider of its own, closed with the chain. */
  connect<T extends JsonRpcProvider>(Provider: new (url: string, chainId: number, options: object) => T): T;
  close(): Promise<void>;
}

const PROVIDER_OPTIONS = { staticNetwork: true, cacheTimeout: -1, pollingInterval: 20, batchMaxCount: 1 };

export async function startLocalChain(): Promise<LocalChain> {
  const server = await hre.network.createServer("node", "127.0.0.1", 0);
  const { address, port } = await server.listen();
  const url = `http://${address}:${port}`;
  const providers: JsonRpcProvider[] = [];
  const connect: LocalChain["connect"] = (Provider) => {
    const provider = new Provider(url, 31337, PROVIDER_OPTIONS);
    providers.push(provider);
    return provider;
  };
  const provider = connect(JsonRpcProvider);
  const account = (index: number): BaseWallet =>
    HDNodeWallet.fromMnemonic(MNEMONIC, `m/44'/60'/0'/0/${index}`).connect(provider);
  const deployer = account(0);
  const opg = await new OPG__factory(deployer).deploy(deployer.address);
  await opg.waitForDeployment();
  return {
    url,
    chainId: 31337n,
    provider,
    deployer,
    opg,
    asset: (await opg.getAddress()) as Hex,
    account,
    connect,
    close: async () => {
      for (const each of providers) each.destroy();
      await server.close();
    },
  };
}

/** Holds mined blocks back until `release`: transactions stay in the pool. */
export async function holdBlocks(chain: LocalChain): Promise<() => Promise<void>> {
  await chain.provider.send("evm_setAutomine", [false]);
  return async () => {
    await chain.provider.send("evm_setAutomine", [true]);
    await chain.provider.send("hardhat_mine", [toBeHex(1).replace("0x0", "0x")]);
  };
}
