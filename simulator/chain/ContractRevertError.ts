import { AbiCoder, Interface, hexlify } from "ethers";
import type { ErrorFragment, InterfaceAbi } from "ethers";

import * as bindings from "../../typechain-types/index.ts";
import type { Hex } from "../receipts/types.ts";
import { classifyRpcError, revertDataOf } from "./rpcErrors.ts";

/** What a call reverted with. */
export interface RevertReason {
  /** Name of the Solidity error; "Error" for `require` with a text, "Panic" for the compiler's checks, "unknown" when no ABI of ours has it. */
  readonly errorName: string;
  /** The error's arguments by name, or by position ("0", "1") where it has none. */
  readonly args: Readonly<Record<string, unknown>>;
  /** As returned by the EVM; "0x" when the node gave none. */
  readonly data: Hex;
}

export interface RevertedTransaction {
  /** Contract that was called. */
  readonly to?: string | undefined;
  /** Absent when the call was refused before a transaction was sent. */
  readonly transactionHash?: string | undefined;
}

/** A contract refused what it was asked to do. Sending the same again cannot help unless the chain changes. */
export class ContractRevertError extends Error {
  override readonly name = "ContractRevertError";
  readonly code = "contract_revert";
  readonly errorName: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly data: Hex;
  readonly to: string | undefined;
  /** Of the transaction that is mined and failed; undefined when none was sent, so none was paid for. */
  readonly transactionHash: string | undefined;

  constructor(reason: RevertReason, { to, transactionHash }: RevertedTransaction = {}, options?: ErrorOptions) {
    const list = Object.values(reason.args).map(String).join(", ");
    const where = [to && ` at ${to}`, transactionHash && ` in transaction ${transactionHash}`].filter(Boolean).join("");
    super(`The contract${where} reverted with ${reason.errorName}(${list})`, options);
    this.errorName = reason.errorName;
    this.args = reason.args;
    this.data = reason.data;
    this.to = to;
    this.transactionHash = transactionHash;
  }
}

/**
 * Decodes revert data by the custom errors of all contracts in `typechain-types`, and Solidity's own two.
 * @param data `0x` when the EVM gave none, as for an exhausted gas limit.
 */
export function decodeRevert(data: string): RevertReason {
  const bytes = hexlify(data) as Hex;
  const error = knownErrors().get(bytes.slice(0, 10));
  if (error) {
    try {
      const values = AbiCoder.defaultAbiCoder().decode(error.inputs, `0x${bytes.slice(10)}`);
      const args = Object.fromEntries(error.inputs.map((input, i) => [input.name || String(i), values[i] as unknown]));
      return { errorName: error.name, args, data: bytes };
    } catch {
      // A selector of ours with other data behind it: some other contract's error
    }
  }
  return { errorName: "unknown", args: {}, data: bytes };
}

/**
 * The revert in what ethers threw for a call or an estimate.
 * @returns undefined when it failed for another reason than the contract.
 */
export function contractRevertOf(error: unknown, transaction?: RevertedTransaction): ContractRevertError | undefined {
  if (error instanceof ContractRevertError) return error;
  if (classifyRpcError(error) !== "reverted") return undefined;
  return new ContractRevertError(decodeRevert(revertDataOf(error) ?? "0x"), transaction, { cause: error });
}

const SOLIDITY_ERRORS = ["error Error(string reason)", "error Panic(uint256 panicCode)"];

let errorsBySelector: ReadonlyMap<string, ErrorFragment> | undefined;

function knownErrors(): ReadonlyMap<string, ErrorFragment> {
  if (!errorsBySelector) {
    const errors = new Map<string, ErrorFragment>();
    const abis = Object.values(bindings).flatMap((binding) => ("abi" in binding ? [binding.abi as InterfaceAbi] : []));
    for (const abi of [SOLIDITY_ERRORS, ...abis]) {
      new Interface(abi).forEachError((fragment) => errors.set(fragment.selector, fragment));
    }
    errorsBySelector = errors;
  }
  return errorsBySelector;
}
