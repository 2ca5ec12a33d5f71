import type { LogDescription, Provider, TransactionReceipt } from "ethers";
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
export const authorizationUse = (
  receipt: TransactionReceipt,
  authorization: PaymentAuthorization,
): SettlementOutcome | undefined => authorizationUses(receipt, authorization.asset)(authorization);

/** The same for many authorizations of one token: the receipt is read once. */
export function authorizationUses(
  receipt: TransactionReceipt,
  asset: Hex,
): (authorization: PaymentAuthorization) => SettlementOutcome | undefined {
  const events = receipt.logs
    .filter(({ address }) => sameAddress(address, asset))
    .map((log) => tokenInterface.parseLog(log));
  const uses = new Map<string, LogDescription | null | undefined>();
  for (const [index, event] of events.entries()) {
    if (event?.name !== "AuthorizationUsed") continue;
    const [authorizer, nonce] = event.args as unknown as [string, string];
    // ERC-3009 tokens log AuthorizationUsed and then the Transfer it caused: the next log of the token tells where the money went
    uses.set(`${authorizer.toLowerCase()}/${nonce}`, events[index + 1]);
  }
  return ({ payer, payTo, valueWei, nonce }) => {
    if (!uses.has(`${payer}/${nonce}`)) return undefined;
    const transfer = uses.get(`${payer}/${nonce}`);
    const elsewhere: SettlementOutcome = { kind: "lost", reason: "nonce_spent_elsewhere" };
    if (transfer?.name !== "Transfer") return elsewhere;
    const [from, to, value] = transfer.args as unknown as [string, string, bigint];
    const paid = sameAddress(from, payer) && sameAddress(to, payTo) && value === valueWei;
    return paid ? { kind: "paid", transaction: receipt.hash as Hex } : elsewhere;
  };
}
