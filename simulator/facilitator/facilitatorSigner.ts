import { toFacilitatorEvmSigner } from "@x402/evm";
import {
  concat,
  Interface,
  verifyTypedData,
  type FunctionFragment,
  type InterfaceAbi,
  type Provider,
  type TransactionReceipt,
  type TypedDataField,
} from "ethers";
import type { Hex } from "../receipts/types.ts";

/** What the x402 schemes need of a wallet. */
export type FacilitatorSigner = ReturnType<typeof toFacilitatorEvmSigner>;

export interface FacilitatorSignerOptions {
  address: Hex;
  provider: Provider;
  /** Sends a call and waits until it is mined. Reverting calls throw, before or after. */
  send: (call: { to: Hex; data: Hex }) => Promise<TransactionReceipt>;
}

/** An ethers account as the signer that `@x402/evm` works with. */
export function facilitatorSigner({ address: self, provider, send }: FacilitatorSignerOptions): FacilitatorSigner {
  const mined = new Map<string, TransactionReceipt>();
  const sendAndKeep = async (call: { to: Hex; data: Hex }): Promise<Hex> => {
    const receipt = await send(call);
    mined.set(receipt.hash, receipt);
    return receipt.hash as Hex;
  };
  return toFacilitatorEvmSigner({
    address: self,
    getCode: async ({ address }) => (await provider.getCode(address)) as Hex,
    readContract: async ({ address, abi, functionName, args }) => {
      const { contract, fragment } = lookUp(abi, functionName, args ?? []);
      const data = contract.encodeFunctionData(fragment, args ?? []);
      const result = contract.decodeFunctionResult(fragment, await provider.call({ to: address, data, from: self }));
      // as viem returns it: nothing, the value, or all values
      return result.length === 1 ? (result[0] as unknown) : result.length === 0 ? undefined : result;
    },
    writeContract: ({ address, abi, functionName, args, dataSuffix }) => {
      const { contract, fragment } = lookUp(abi, functionName, args);
      const data = concat([contract.encodeFunctionData(fragment, args), dataSuffix ?? "0x"]) as Hex;
      return sendAndKeep({ to: address, data });
    },
    sendTransaction: ({ to, data }) => sendAndKeep({ to, data }),
    waitForTransactionReceipt: async ({ hash }) => {
      const receipt = mined.get(hash) ?? (await provider.getTransactionReceipt(hash));
      if (receipt === null) throw new Error(`Transaction ${hash} is not mined yet`);
      return { status: receipt.status === 1 ? "success" : "reverted", logs: receipt.logs as never };
    },
    verifyTypedData: ({ address, domain, types, message, signature }) =>
      Promise.resolve(verifyTypedData(domain, withoutDomain(types), message, signature) === address),
  });
}

/** The packages' ABIs are constants, and parsing one takes longer than using it. */
const interfaces = new WeakMap<readonly unknown[], Interface>();

/** By arguments too: ERC-3009's transfer has overloads that its name alone does not tell apart. */
function lookUp(
  abi: readonly unknown[],
  name: string,
  args: readonly unknown[],
): { contract: Interface; fragment: FunctionFragment } {
  const contract = interfaces.get(abi) ?? new Interface(abi as InterfaceAbi);
  interfaces.set(abi, contract);
  const fragment = contract.getFunction(name, [...args]);
  if (fragment === null) throw new Error(`No function ${name} with ${args.length} arguments`);
  return { contract, fragment };
}

/** viem lists the domain among the types; ethers derives it and refuses the entry. */
function withoutDomain(types: Record<string, unknown>): Record<string, TypedDataField[]> {
  return Object.fromEntries(
    Object.entries(types).filter(([name]) => name !== "EIP712Domain") as [string, TypedDataField[]][],
  );
}
