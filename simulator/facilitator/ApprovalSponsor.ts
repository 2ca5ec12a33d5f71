import { Transaction } from "ethers";
import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import type { AnyPayment } from "./parsePayment.ts";
import { PERMIT2 } from "./permit2.ts";
import { PaymentError } from "./PaymentError.ts";
import { tokenInterface } from "./settlementCall.ts";

export interface ApprovalSponsorOptions {
  chain: Chain;
  /** Pays what a payer's transaction costs. */
  submitter: TransactionSubmitter;
  /** Most gas that an approval may ask for. */
  maxGas: bigint;
  /** How long an approval may take to be mined. */
  timeoutMs: number;
  logger: Logger;
}

/**
 * Brings approvals on chain that payers without ETH have signed (x402's extension erc20ApprovalGasSponsoring): sends the payer what the
 * transaction may cost, then the transaction. A payer can take that ETH and run: it gets at most `maxGas` at twice the present fee, once.
 */
export class ApprovalSponsor {
  readonly #options: ApprovalSponsorOptions;
  readonly #funded = new Set<Hex>();

  constructor(options: ApprovalSponsorOptions) {
    this.#options = options;
  }

  /** Gives Permit2 the allowance that a payer has signed, unless there is enough. @throws PaymentError approval_refused */
  async give(payment: AnyPayment, signedTransaction: Hex): Promise<void> {
    const { provider } = this.#options.chain;
    if ((await this.#allowanceWei(payment)) >= payment.amountWei) return;
    const approval = this.#read(payment, signedTransaction);
    const block = await provider.getBlock("latest");
    const fairFee = 2n * (block?.baseFeePerGas ?? 0n) + 2n * 10n ** 9n;
    const fee = approval.maxFeePerGas ?? approval.gasPrice ?? 0n;
    const needed = approval.gasLimit * fee;
    const owned = await provider.getBalance(payment.payer);
    if (owned < needed) {
      if (fee > fairFee || approval.gasLimit > this.#options.maxGas) {
        throw refused(`it may cost ${needed} wei, more than is paid for at ${fairFee} wei per gas`);
      }
      await this.#fund(payment.payer, needed - owned);
    }
    await provider.broadcastTransaction(signedTransaction).catch((error: unknown) => {
      this.#options.logger.debug({ key: payment.key, err: error }, "approval not taken; its outcome is looked up");
    });
    await this.#mined(payment);
  }

  #read(payment: AnyPayment, signedTransaction: Hex): Transaction {
    const approval = Transaction.from(signedTransaction);
    const call = approval.to?.toLowerCase() === payment.asset ? tokenInterface.parseTransaction(approval) : null;
    const spender = call?.name === "approve" ? (call.args[0] as string).toLowerCase() : undefined;
    if (approval.from?.toLowerCase() !== payment.payer || spender !== PERMIT2 || approval.value !== 0n) {
      throw refused("it is not the payer's approval of Permit2");
    }
    return approval;
  }

  async #fund(payer: Hex, value: bigint): Promise<void> {
    if (this.#funded.has(payer)) throw refused("the payer has been given ETH for one before");
    this.#funded.add(payer);
    await this.#options.submitter.submit({ to: payer, value }, { label: `gas for the approval of ${payer}` });
  }

  async #mined(payment: AnyPayment): Promise<void> {
    const deadline = performance.now() + this.#options.timeoutMs;
    while ((await this.#allowanceWei(payment)) < payment.amountWei) {
      if (performance.now() > deadline) throw refused("it was not mined in time");
      await delay(this.#options.chain.pollingIntervalMs);
    }
  }

  async #allowanceWei({ asset, payer }: AnyPayment): Promise<bigint> {
    const data = tokenInterface.encodeFunctionData("allowance", [payer, PERMIT2]);
    return BigInt(await this.#options.chain.provider.call({ to: asset, data }));
  }
}

const refused = (why: string): PaymentError => new PaymentError("approval_refused", `The approval is not sent: ${why}`);
