import { Interface, type Provider, type Result } from "ethers";
import type { Hex } from "../receipts/types.ts";

/** On nearly every chain at this address. */
export const MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11";

export const multicallInterface = new Interface([
  "function aggregate3((address target,bool allowFailure,bytes callData)[] calls) payable returns ((bool success,bytes returnData)[] returnData)",
]);

/** A function to be read, with its contract. */
export interface Read {
  target: string;
  contract: Interface;
  name: string;
  values: readonly unknown[];
}

/** One result of aggregate3. */
export interface CallResult {
  success: boolean;
  returnData: Hex;
}

/** Reads many functions at one block by one call to the node. Fails when one of them does. */
export async function aggregate(provider: Provider, reads: readonly Read[]): Promise<Result[]> {
  const calls = reads.map(({ target, contract, name, values }) => ({
    target,
    allowFailure: false,
    callData: contract.encodeFunctionData(name, values),
  }));
  const data = multicallInterface.encodeFunctionData("aggregate3", [calls]);
  const results = decodeResults(await provider.call({ to: MULTICALL3, data }));
  return reads.map(({ contract, name }, index) => contract.decodeFunctionResult(name, results[index]!.returnData));
}

export const decodeResults = (returned: string): CallResult[] => {
  const [results] = multicallInterface.decodeFunctionResult("aggregate3", returned) as unknown as [CallResult[]];
  return [...results];
};
