import { keccak256 } from "ethers";

import type { Hex } from "../../receipts/types.ts";
import {
  LocalBatchSettlement__factory,
  LocalErc3009Collector__factory,
  LocalExactPermit2Proxy__factory,
  LocalMulticall3__factory,
  LocalPermit2Collector__factory,
  LocalUptoPermit2Proxy__factory,
} from "../../../typechain-types/index.ts";
import { isMissingMethod } from "./isMissingMethod.ts";
import { permit2Deployment } from "./permit2.ts";
import { x402Addresses } from "./x402Addresses.ts";
import type { X402ContractName } from "./x402Addresses.ts";

/** What is needed of a chain: raw requests. `Chain` is one. */
export interface RawChain {
  readonly provider: { send(method: string, params: unknown[]): Promise<unknown> };
}

/** Code was to be put on a chain that is not a developer's own. */
export class NotLocalChainError extends Error {
  override readonly name = "NotLocalChainError";
  readonly code = "not_local_chain";
}

/** Chains of Hardhat, Anvil and `geth --dev`: as contracts/attestation/LocalChain.sol. */
const LOCAL_CHAIN_IDS: readonly bigint[] = [31_337n, 1_337n];

/** Contracts of contracts/local/, which stand in for x402's. */
const STAND_INS = {
  exactPermit2Proxy: LocalExactPermit2Proxy__factory,
  uptoPermit2Proxy: LocalUptoPermit2Proxy__factory,
  batchSettlement: LocalBatchSettlement__factory,
  erc3009Collector: LocalErc3009Collector__factory,
  permit2Collector: LocalPermit2Collector__factory,
  multicall3: LocalMulticall3__factory,
} satisfies Partial<Record<X402ContractName, { bytecode: string }>>;

/** Takes salt and creation code, makes the contract by CREATE2 and returns its address. */
const CREATE2_DEPLOYER: Hex =
  "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";

/** The same, but returns the code that the contract has then: calldatacopy, create2, extcodecopy, return. */
const CREATE2_CODE_OF: Hex = "0x602036038060205f375f35905f5ff5803b805f5f843c5ff3";

/** State in which the deployer's call makes Permit2, also where it is already. */
const BEFORE_PERMIT2 = {
  [x402Addresses.create2Deployer]: { code: CREATE2_CODE_OF },
  [x402Addresses.permit2]: { code: "0x", nonce: "0x0" },
};

type Codes = Readonly<Record<X402ContractName, Hex>>;

/**
 * Puts what x402 v2 expects at its canonical addresses on a developer's chain (Hardhat, Anvil): Permit2 to the bit as CREATE2 makes it, and our own
 * stand-ins for Multicall3 and x402's contracts. Sends no transaction, so it neither makes a block nor uses up anybody's nonce. Does nothing where the
 * same code is there already.
 * @returns the contracts whose code was set.
 * @throws NotLocalChainError for a public chain id, or a node that lets nobody set code.
 * @throws Permit2BuildError
 */
export async function installLocalX402({ provider }: RawChain): Promise<X402ContractName[]> {
  const chainId = BigInt((await provider.send("eth_chainId", [])) as Hex);
  if (!LOCAL_CHAIN_IDS.includes(chainId)) {
    throw new NotLocalChainError(
      `Chain ${chainId} is nobody's own: it has x402's contracts, or needs them from x402's authors`,
    );
  }
  const codes = await makeCodes(provider);
  const installed = await Promise.all(
    entriesOf(codes).map(async ([name, code]) => {
      const address = x402Addresses[name];
      const present = (await provider.send("eth_getCode", [address, "latest"])) as Hex;
      if (keccak256(present) === keccak256(code)) return [];
      await setCode(provider, address, code);
      return [name];
    }),
  );
  return installed.flat();
}

const entriesOf = (codes: Codes) => Object.entries(codes) as [X402ContractName, Hex][];

/** Runs the constructors in calls, which leave nothing behind: their results are the codes, immutables filled in. */
async function makeCodes(provider: RawChain["provider"]): Promise<Codes> {
  const call = async (transaction: { to?: Hex; data: string }, ...overrides: unknown[]) =>
    (await provider.send("eth_call", [transaction, "latest", ...overrides])) as Hex;
  const permit2 = permit2Deployment().then((data) => call({ to: x402Addresses.create2Deployer, data }, BEFORE_PERMIT2));
  const standIns = Object.entries(STAND_INS).map(
    async ([name, { bytecode }]) => [name, await call({ data: bytecode })] as const,
  );
  const codes = {
    create2Deployer: CREATE2_DEPLOYER,
    permit2: await permit2,
    ...Object.fromEntries(await Promise.all(standIns)),
  } as Codes;
  const empty = entriesOf(codes).filter(([, code]) => code === "0x");
  if (empty.length > 0)
    throw new Error(`Expected the node to run constructors in calls: ${empty.join()} came out empty`);
  return codes;
}

/** Anvil knows Hardhat's name for it too; other nodes may know only Anvil's. */
async function setCode(provider: RawChain["provider"], address: Hex, code: Hex): Promise<void> {
  for (const method of ["hardhat_setCode", "anvil_setCode"]) {
    try {
      await provider.send(method, [address, code]);
      return;
    } catch (error) {
      if (!isMissingMethod(error)) throw error;
    }
  }
  throw new NotLocalChainError(
    "The node knows neither hardhat_setCode nor anvil_setCode: x402's stand-ins are for Hardhat and Anvil only",
  );
}
