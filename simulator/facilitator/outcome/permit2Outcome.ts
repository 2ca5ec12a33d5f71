import {
  toBeHex,
  type Interface,
  type Provider,
  type TransactionDescription,
  type TransactionReceipt,
  type TransactionResponse,
} from "ethers";
import type { Hex } from "../../receipts/types.ts";
import type { PaymentAuthorization } from "../payment.ts";
import { nonceBit, PERMIT2, permit2Interface } from "../permit2.ts";
import { tokenInterface } from "../settlementCall.ts";
import type { SettlementOutcome } from "./SettlementOutcome.ts";

/** A Permit2 payment whose fate is asked for. */
export interface PermittedPayment {
  authorization: PaymentAuthorization;
  /** Wei that settling it moves. */
  amountWei: bigint;
  /** To whom the transfer goes: the seller, or the contract that holds channels. */
  receiver: Hex;
  /** Says which payment a call settles. */
  reader: CallReader;
}

/** One payment that a call settles. */
export interface PermittedCall {
  owner: string;
  nonce: bigint;
  amountWei: bigint;
  receiver: string;
}

/** Finds the payments that the calls in some calldata settle, be they wrapped in calls of other contracts. */
export type CallReader = (data: string) => PermittedCall[];

/** Reads calls of an x402 proxy, with and without a permit for Permit2. */
export const proxyReader = (proxy: Interface): CallReader =>
  callReader(proxy, ["settle", "settleWithPermit"], ({ args, fragment }) => {
    const permit = args.getValue("permit") as { permitted: { amount: bigint }; nonce: bigint };
    const upTo = fragment.inputs.some(({ name }) => name === "amount");
    return {
      owner: args.getValue("owner") as string,
      nonce: permit.nonce,
      amountWei: upTo ? (args.getValue("amount") as bigint) : permit.permitted.amount,
      receiver: (args.getValue("witness") as { to: string }).to,
    };
  });

export function callReader(
  contract: Interface,
  functions: readonly string[],
  read: (call: TransactionDescription) => PermittedCall | undefined,
): CallReader {
  const selectors = functions.map((name) => contract.getFunction(name)!.selector.slice(2));
  return (data) => {
    const calls: PermittedCall[] = [];
    for (const selector of selectors) {
      for (let at = data.indexOf(selector); at >= 0; at = data.indexOf(selector, at + 1)) {
        const call = attempt(() => contract.parseTransaction({ data: `0x${data.slice(at)}` }));
        const found = call && attempt(() => read(call));
        if (found) calls.push(found);
      }
    }
    return calls;
  };
}

/** Bytes that look like a call need not be one. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const sameAddress = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/**
 * Looks a Permit2 payment up on chain. Permit2 logs no use of a nonce, so the transaction is found by the transfer it made, and known by
 * the call that it is.
 * @param fromBlock a block at whose end the nonce was unused.
 * @param recorded a transaction of ours that may have done it.
 */
export async function permit2Outcome(
  provider: Provider,
  payment: PermittedPayment,
  fromBlock: number,
  recorded: Hex | undefined,
): Promise<SettlementOutcome> {
  const { authorization } = payment;
  const { word, mask } = nonceBit(authorization.nonce);
  const data = permit2Interface.encodeFunctionData("nonceBitmap", [authorization.payer, word]);
  const bitmap = BigInt(await provider.call({ to: PERMIT2, data }));
  if ((bitmap & mask) === 0n) return { kind: "unused" };
  const seen = new Set<string>();
  for (const hash of recorded === undefined ? [] : [recorded]) {
    seen.add(hash);
    const outcome = await permitUseIn(provider, hash, payment);
    if (outcome !== undefined) return outcome;
  }
  if (await isInvalidated(provider, authorization, fromBlock)) return { kind: "lost", reason: "nonce_invalidated" };
  const transfers = await provider.getLogs({
    address: authorization.asset,
    topics: tokenInterface.encodeFilterTopics("Transfer", [authorization.payer, null]),
    fromBlock,
  });
  for (const { transactionHash } of transfers) {
    if (seen.has(transactionHash)) continue;
    seen.add(transactionHash);
    const outcome = await permitUseIn(provider, transactionHash, payment);
    if (outcome !== undefined) return outcome;
  }
  return { kind: "unknown" };
}

async function permitUseIn(
  provider: Provider,
  hash: string,
  payment: PermittedPayment,
): Promise<SettlementOutcome | undefined> {
  const [transaction, receipt] = await Promise.all([
    provider.getTransaction(hash),
    provider.getTransactionReceipt(hash),
  ]);
  if (transaction === null || receipt === null) return undefined;
  return permitUse(transaction, receipt, payment);
}

/** What a mined transaction did with a payment, or undefined when it did nothing with it. */
export function permitUse(
  { data }: Pick<TransactionResponse, "data">,
  receipt: TransactionReceipt,
  { authorization, amountWei, receiver, reader }: PermittedPayment,
): SettlementOutcome | undefined {
  if (receipt.status !== 1) return undefined;
  const { payer, asset, nonce } = authorization;
  const transfers = receipt.logs.filter((log) => {
    if (!sameAddress(log.address, asset)) return false;
    const event = tokenInterface.parseLog(log);
    if (event?.name !== "Transfer") return false;
    const [from, to, value] = event.args as unknown as [string, string, bigint];
    return sameAddress(from, payer) && sameAddress(to, receiver) && value === amountWei;
  }).length;
  const calls = reader(data).filter(({ owner }) => sameAddress(owner, payer));
  const ours = calls.find((call) => toBeHex(call.nonce, 32) === nonce);
  if (ours === undefined) return undefined;
  // calls of several payments alike may be wrapped together, and not all of them have to succeed
  const alike = calls.filter((call) => sameAddress(call.receiver, receiver) && call.amountWei === amountWei);
  const paid = alike.includes(ours) && transfers >= new Set(alike.map((call) => call.nonce)).size;
  return paid ? { kind: "paid", transaction: receipt.hash as Hex } : { kind: "lost", reason: "nonce_spent_elsewhere" };
}

async function isInvalidated(
  provider: Provider,
  { payer, nonce }: PaymentAuthorization,
  fromBlock: number,
): Promise<boolean> {
  const { word, mask } = nonceBit(nonce);
  const logs = await provider.getLogs({
    address: PERMIT2,
    topics: permit2Interface.encodeFilterTopics("UnorderedNonceInvalidation", [payer]),
    fromBlock,
  });
  return logs.some((log) => {
    const [, invalidWord, invalidMask] = permit2Interface.parseLog(log)!.args as unknown as [string, bigint, bigint];
    return invalidWord === word && (invalidMask & mask) !== 0n;
  });
}
