/** A facilitator in a process of its own, to be killed. Settings come as JSON in FACILITATOR; payments as lines of JSON, answered by their keys. */
import { createInterface } from "node:readline";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../simulator/chain/connectChain.ts";
import { Facilitator } from "../../simulator/facilitator/Facilitator.ts";
import type { PaymentStore } from "../../simulator/facilitator/PaymentStore.ts";
import type { Hex } from "../../simulator/receipts/types.ts";

export interface FacilitatorProcessSettings {
  rpcUrl: string;
  /** Pays the gas. */
  key: Hex;
  /** URL of a module with `openPaymentStore(storeSettings): Promise<PaymentStore>`. */
  storeModule: string;
  storeSettings: unknown;
}

export interface StoreModule {
  openPaymentStore: (settings: unknown) => Promise<PaymentStore>;
}

/** A payment that is owed. */
export interface OwedPayment {
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  /** Wei, decimal. */
  amountWei: string;
}

async function main({ rpcUrl, key, storeModule, storeSettings }: FacilitatorProcessSettings): Promise<void> {
  const { openPaymentStore } = (await import(storeModule)) as StoreModule;
  const facilitator = new Facilitator({
    chain: await connectChain({ url: rpcUrl }),
    signer: new Wallet(key),
    outboxFile: await openPaymentStore(storeSettings),
    logger: pino({ level: "silent" }),
    settler: { minRetryMs: 20, maxRetryMs: 200, pollMs: 50, leaseMs: 1_500, bulkSize: 5 },
  });
  await facilitator.start();
  console.log("ready");
  for await (const line of createInterface(process.stdin)) {
    const { payload, requirements, amountWei } = JSON.parse(line) as OwedPayment;
    void facilitator
      .enqueue(payload, requirements, { amountWei: BigInt(amountWei) })
      .then(({ key: accepted }) => console.log(accepted));
  }
}

// test runners load every file below test/
if (process.env.FACILITATOR !== undefined) {
  await main(JSON.parse(process.env.FACILITATOR) as FacilitatorProcessSettings);
}
