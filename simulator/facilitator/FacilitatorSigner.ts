import { toFacilitatorEvmSigner } from "@x402/evm";
import { concat, Interface, verifyTypedData, type InterfaceAbi, type TypedDataField } from "ethers";
import type { Hex } from "../receipts/types.ts";
import type { OnSigned, TransactionLane } from "./TransactionLane.ts";
import { waitForReceipt } from "./waitForReceipt.ts";

/** What the x402 schemes need of a wallet. */
export type FacilitatorSigner = ReturnType<typeof toFacilitatorEvmSigner>;

export interface FacilitatorSignerOptions {
  /** How long to wait for a transaction to be mined before the outcome is reported as pending. */
  confirmationTimeoutMs: number;
  /** Blocks a transaction has to be under, itself included. */
  confirmations: number;
  /** Sees each transaction before it is broadcast. */
  onSigned: OnSigned;
}

/** An ethers account as the signer that `@x402/evm` works with. */
export function facilitatorSigner(lane: TransactionLane, options: FacilitatorSignerOptions): FacilitatorSigner {
  const { provider } = lane;
  const { confirmations, confirmationTimeoutMs, onSigned } = options;
  return toFacilitatorEvmSigner(
    {
      address: lane.address,
      getCode: async ({ address }) => (await provider.getCode(address)) as Hex,
      readContract: async ({ address, abi, functionName, args }) => {
        const contract = new Interface(abi as InterfaceAbi);
        // by fragment: ERC-3009's transfer has overloads that a name alone does not tell apart
        const fragment = contract.getFunction(functionName, [...(args ?? [])]);
        if (fragment === null) throw new Error(`No function ${functionName} of ${args?.length ?? 0} arguments`);
        const data = contract.encodeFunctionData(fragment, args ?? []);
        const result = contract.decodeFunctionResult(
          fragment,
          await provider.call({ to: address, data, from: lane.address }),
        );
        // as viem returns it: nothing, the value, or all values
        return result.length === 1 ? (result[0] as unknown) : result.length === 0 ? undefined : result;
      },
      writeContract: ({ address, abi, functionName, args, gas, dataSuffix }) => {
        const contract = new Interface(abi as InterfaceAbi);
        const fragment = contract.getFunction(functionName, [...args]);
        if (fragment === null) throw new Error(`No function ${functionName} of ${args.length} arguments`);
        const data = concat([contract.encodeFunctionData(fragment, args), dataSuffix ?? "0x"]) as Hex;
        return lane.send({ to: address, data, ...(gas !== undefined && { gas }) }, onSigned);
      },
      sendTransaction: ({ to, data }) => lane.send({ to, data }, onSigned),
      waitForTransactionReceipt: async ({ hash, timeout }) => {
        const receipt = await waitForReceipt(provider, hash, confirmations, timeout ?? confirmationTimeoutMs);
        if (receipt === undefined) throw new Error(`Transaction ${hash} is not mined yet`);
        return { status: receipt.status === 1 ? "success" : "reverted", logs: receipt.logs as never };
      },
      verifyTypedData: ({ address, domain, types, message, signature }) =>
        Promise.resolve(verifyTypedData(domain, withoutDomain(types), message, signature) === address),
    },
    { confirmationTimeoutMs },
  );
}

/** viem lists the domain among the types; ethers derives it and refuses the entry. */
function withoutDomain(types: Record<string, unknown>): Record<string, TypedDataField[]> {
  return Object.fromEntries(
    Object.entries(types).filter(([name]) => name !== "EIP712Domain") as [string, TypedDataField[]][],
  );
}
