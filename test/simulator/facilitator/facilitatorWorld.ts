import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEther } from "ethers";
import { pino } from "pino";
import type { Chain } from "../../../simulator/chain/connectChain.ts";
import { Facilitator, type FacilitatorOptions } from "../../../simulator/facilitator/Facilitator.ts";
import type { PaymentJob } from "../../../simulator/facilitator/PaymentStore.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { startLocalChain, type LocalChain } from "./localChain.ts";
import { approvePermit2 } from "./permits.ts";

/** An embedded chain on which facilitators are started, each with an account of its own unless told otherwise. */
export class FacilitatorWorld {
  readonly chain: LocalChain;
  readonly #directory: string;
  readonly #running: Facilitator[] = [];
  #files = 0;

  private constructor(chain: LocalChain) {
    this.chain = chain;
    this.#directory = mkdtempSync(join(tmpdir(), "facilitator-"));
  }

  /** @param payers indexes of accounts that get OPG and let Permit2 move it. */
  static async start(payers: readonly number[]): Promise<FacilitatorWorld> {
    const chain = await startLocalChain();
    for (const payer of payers) {
      await (await chain.opg.transfer(chain.account(payer).address, parseEther("1000"))).wait();
      await approvePermit2(chain, chain.account(payer));
    }
    return new FacilitatorWorld(chain);
  }

  newFile(): string {
    return join(this.#directory, `outbox-${this.#files++}.db`);
  }

  /** A facilitator that is stopped with the world. @param account index of the account that pays its gas. */
  async open(options: Partial<FacilitatorOptions> & { account?: number; chain?: Chain } = {}): Promise<Facilitator> {
    const { account = 9, settler, ...rest } = options;
    const facilitator = new Facilitator({
      chain: this.chain,
      signer: this.chain.account(account),
      outboxFile: this.newFile(),
      logger: pino({ level: "silent" }),
      settler: { minRetryMs: 5, maxRetryMs: 50, pollMs: 20, ...settler },
      ...rest,
    });
    await facilitator.start();
    this.#running.push(facilitator);
    return facilitator;
  }

  /** Stops one before the world ends. */
  async close(facilitator: Facilitator): Promise<void> {
    this.#running.splice(this.#running.indexOf(facilitator), 1);
    await facilitator.stop();
  }

  balanceOf(address: string): Promise<bigint> {
    return this.chain.opg.balanceOf(address);
  }

  address(index: number): Hex {
    return this.chain.account(index).address.toLowerCase() as Hex;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map((each) => each.stop()));
    await this.chain.stop();
    rmSync(this.#directory, { recursive: true });
  }
}

/** Waits until a stored job satisfies `condition`. */
export async function jobUntil(
  { store }: Facilitator,
  key: string,
  condition: (job: PaymentJob) => boolean,
): Promise<PaymentJob> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const job = (await store.find(key))!;
    if (condition(job)) return job;
    if (Date.now() > deadline) throw new Error(`Still ${job.status} (${job.reason ?? "no reason"}) after 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const finished = (facilitator: Facilitator, { key }: Pick<PaymentJob, "key">): Promise<PaymentJob> =>
  jobUntil(facilitator, key, ({ status }) => status === "settled" || status === "dead");
