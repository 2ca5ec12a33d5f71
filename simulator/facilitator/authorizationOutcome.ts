import type { Provider, TransactionReceipt } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { OPG__factory } from "../../typechain-types/index.ts";
import type { PaymentAuthorization } from "./payment.ts";

/**
 * What has become of an authorization on chain. `elsewhere`: its nonce was spent by another authorization that its payer signed.
 * `unknown`: used, but the event is not where it was searched.
 */
export type AuthorizationOutcome =
  | { kind: "unused" }
  | { kind: "paid"; transaction: Hex }
  | { kind: "canceled" }
  | { kind: "elsewhere"; transaction: Hex }
  | { kind: "unknown" };

const sameAddress = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/**
 * Looks an ERC-3009 authorization up on chain, whoever submitted it: anybody may, and the money goes where it says all the same.
 * @param fromBlock a block at whose end it was unused.
 */
export async function authorizationOutcome(
  provider: Provider,
  authorization: PaymentAuthorization,
  fromBlock: number,
): Promise<AuthorizationOutcome> {
  const { asset, payer, nonce } = authorization;
  const token = OPG__factory.connect(asset, { provider });
  if (!(await token.authorizationState(payer, nonce))) return { kind: "unused" };
  const [used] = await token.queryFilter(token.filters.AuthorizationUsed(payer, nonce), fromBlock);
  if (used !== undefined) {
    const transaction = used.transactionHash as Hex;
    const receipt = await provider.getTransactionReceipt(transaction);
    // reorganised between the two calls: look again later
    if (receipt === null) return { kind: "unknown" };
    return { kind: isPayment(receipt, used.index, authorization) ? "paid" : "elsewhere", transaction };
  }
  const canceled = await token.queryFilter(token.filters.AuthorizationCanceled(payer, nonce), fromBlock);
  return { kind: canceled.length > 0 ? "canceled" : "unknown" };
}

/** ERC-3009 tokens log AuthorizationUsed and then the Transfer it caused: the next log of the token tells where the money went. */
function isPayment(receipt: TransactionReceipt, usedIndex: number, authorization: PaymentAuthorization): boolean {
  const { asset, payer, payTo, valueWei } = authorization;
  const next = receipt.logs.find((log) => log.index > usedIndex && sameAddress(log.address, asset));
  const transfer = next && OPG__factory.createInterface().parseLog(next);
  if (transfer?.name !== "Transfer") return false;
  const [from, to, value] = transfer.args as unknown as [string, string, bigint];
  return sameAddress(from, payer) && sameAddress(to, payTo) && value === valueWei;
}
