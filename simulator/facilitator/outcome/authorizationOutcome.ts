import type { Provider, TransactionReceipt } from "ethers";
import { OPG__factory } from "../../../typechain-types/index.ts";
import type { Hex } from "../../receipts/types.ts";
import type { PaymentAuthorization } from "../payment.ts";
import { tokenInterface } from "../settlementCall.ts";
import type { SettlementOutcome } from "./SettlementOutcome.ts";

const sameAddress = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/**
 * Looks an ERC-3009 authorization up on chain: anybody may submit it, and the money goes where it says all the same.
 * @param fromBlock a block at whose end it was unused.
 */
export async function authorizationOutcome(
  provider: Provider,
  authorization: PaymentAuthorization,
  fromBlock: number,
): Promise<SettlementOutcome> {
  const { asset, payer, nonce } = authorization;
  const token = OPG__factory.connect(asset, { provider });
  if (!(await token.authorizationState(payer, nonce))) return { kind: "unused" };
  const [used] = await token.queryFilter(token.filters.AuthorizationUsed(payer, nonce), fromBlock);
  if (used !== undefined) {
    const receipt = await provider.getTransactionReceipt(used.transactionHash);
    // reorganised between the two calls: look again later
    if (receipt === null) return { kind: "unknown" };
    return authorizationUse(receipt, authorization) ?? { kind: "unknown" };
  }
  const canceled = await token.queryFilter(token.filters.AuthorizationCanceled(payer, nonce), fromBlock);
  return canceled.length > 0 ? { kind: "lost", reason: "authorization_canceled" } : { kind: "unknown" };
}

/** What a mined transaction did with an authorization, or undefined when it did nothing with it. */
export function authorizationUse(
  receipt: TransactionReceipt,
  authorization: PaymentAuthorization,
): SettlementOutcome | undefined {
  const { asset, payer, payTo, valueWei, nonce } = authorization;
  const logs = receipt.logs.filter(({ address }) => sameAddress(address, asset));
  const events = logs.map((log) => tokenInterface.parseLog(log));
  const use = events.findIndex((event) => {
    if (event?.name !== "AuthorizationUsed") return false;
    const [authorizer, used] = event.args as unknown as [string, string];
    return sameAddress(authorizer, payer) && used === nonce;
  });
  if (use < 0) return undefined;
  // ERC-3009 tokens log AuthorizationUsed and then the Transfer it caused: the next log of the token tells where the money went
  const transfer = events[use + 1];
  if (transfer?.name !== "Transfer") return { kind: "lost", reason: "nonce_spent_elsewhere" };
  const [from, to, value] = transfer.args as unknown as [string, string, bigint];
  const paid = sameAddress(from, payer) && sameAddress(to, payTo) && value === valueWei;
  return paid ? { kind: "paid", transaction: receipt.hash as Hex } : { kind: "lost", reason: "nonce_spent_elsewhere" };
}
