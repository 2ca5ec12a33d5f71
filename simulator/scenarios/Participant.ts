import { concat, keccak256, toUtf8Bytes, Wallet, type TransactionReceipt, type TransactionRequest } from "ethers";
import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";

/** Somebody in a simulation with an account of its own. */
export class Participant {
  readonly name: string;
  readonly wallet: Wallet;
  readonly submitter: TransactionSubmitter;
  readonly logger: Logger;

  constructor(name: string, privateKey: Hex, chain: Chain, logger: Logger) {
    this.name = name;
    this.logger = logger.child({ account: name });
    this.wallet = new Wallet(privateKey, chain.provider);
    this.submitter = new TransactionSubmitter({ chain, signer: this.wallet, logger: this.logger });
  }

  /** Lower case. */
  get address(): Hex {
    return this.wallet.address.toLowerCase() as Hex;
  }

  get privateKey(): Hex {
    return this.wallet.privateKey as Hex;
  }

  /** Sends a call made by a contract's `populateTransaction` and waits for it. */
  send(call: Promise<TransactionRequest>): Promise<TransactionReceipt> {
    return this.submitter.submit(call);
  }
}

/** A key that is the same for the same seed and name. Never for anything of worth. */
export function keyOf(seed: number, name: string): Hex {
  return keccak256(concat([toUtf8Bytes(`opengradient simulation ${seed} `), toUtf8Bytes(name)])) as Hex;
}
