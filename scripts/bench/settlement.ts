/** Measures settlement and verification: `tsx scripts/bench/settlement.ts [payments]`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { ethers } from "ethers";
import { pino } from "pino";
import { connectChain, type Chain } from "../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../../simulator/chain/EmbeddedChain.ts";
import { Facilitator } from "../../simulator/facilitator/Facilitator.ts";
import { PERMIT2 } from "../../simulator/facilitator/permit2.ts";
import type { Hex } from "../../simulator/receipts/types.ts";
import { OPG__factory } from "../../typechain-types/index.ts";
import { payments as makePayments } from "./payments/settlementPayments.ts";

const COUNT = Number(process.argv[2] ?? 200);
const PRICE = 1_000n;
const logger = pino({ level: "silent" });
const directory = mkdtempSync(join(tmpdir(), "settlement-"));
let files = 0;

interface Row {
  what: string;
  perSecond: number;
  /** Of this process: facilitator, chain and JSON-RPC between them. Steadier than the rate when the machine is busy. */
  cpuMs: number;
  gasPerPayment?: number;
  transactions?: number;
}

async function settle(
  chain: Chain,
  what: string,
  owed: { payload: PaymentPayload; requirements: PaymentRequirements }[],
  bulkSize: number,
): Promise<Row> {
  const facilitator = newFacilitator(chain, { bulkSize });
  await facilitator.start();
  const hashes = new Set<string>();
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = owed.length;
  facilitator.onOutcome((job) => {
    if (job.status !== "settled") throw new Error(`${job.key} is ${job.status}: ${job.reason}`);
    hashes.add(job.transaction!.hash);
    if (--left === 0) resolve();
  });
  const cpu = process.cpuUsage();
  const began = performance.now();
  await Promise.all(owed.map(({ payload, requirements }) => facilitator.enqueue(payload, requirements)));
  await promise;
  const seconds = (performance.now() - began) / 1000;
  const cpuMs = cpuOf(cpu) / owed.length;
  const receipts = await Promise.all([...hashes].map((hash) => chain.provider.getTransactionReceipt(hash)));
  const gas = receipts.reduce((sum, receipt) => sum + receipt!.gasUsed, 0n);
  await facilitator.stop();
  const gasPerPayment = Number(gas) / owed.length;
  return { what, perSecond: owed.length / seconds, cpuMs, gasPerPayment, transactions: hashes.size };
}

async function verify(
  chain: Chain,
  what: string,
  owed: { payload: PaymentPayload; requirements: PaymentRequirements }[],
  { plain, atOnce }: { plain: readonly Hex[]; atOnce: number },
): Promise<Row> {
  const facilitator = newFacilitator(chain, {}, plain);
  await facilitator.start();
  // the token's domain is read once
  await facilitator.verify(owed[0]!.payload, owed[0]!.requirements);
  const cpu = process.cpuUsage();
  const began = performance.now();
  for (let at = 0; at < owed.length; at += atOnce) {
    const verdicts = await Promise.all(
      owed.slice(at, at + atOnce).map(({ payload, requirements }) => facilitator.verify(payload, requirements)),
    );
    const bad = verdicts.find(({ isValid }) => !isValid);
    if (bad !== undefined) throw new Error(`refused: ${bad.invalidReason}`);
  }
  const seconds = (performance.now() - began) / 1000;
  const cpuMs = cpuOf(cpu) / owed.length;
  await facilitator.stop();
  return { what, perSecond: owed.length / seconds, cpuMs };
}

function cpuOf(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

const newFacilitator = (chain: Chain, settler: { bulkSize?: number }, plainTokens: readonly Hex[] = []): Facilitator =>
  new Facilitator({
    chain,
    signer: new ethers.Wallet(devAccounts()[9]!.privateKey),
    outboxFile: join(directory, `${files++}.db`),
    logger,
    settler,
    plainTokens,
  });

const embedded = new EmbeddedChain({ logger });
await embedded.start();
const chain = await connectChain({ url: embedded.url });
try {
  const [owner, payer] = devAccounts().map(({ privateKey }) => new ethers.Wallet(privateKey, chain.provider)) as [
    ethers.Wallet,
    ethers.Wallet,
  ];
  const opg = await new OPG__factory(owner).deploy(owner.address);
  await opg.waitForDeployment();
  await (await opg.transfer(payer.address, 10n ** 24n)).wait();
  await (await opg.connect(payer).approve(PERMIT2, ethers.MaxUint256)).wait();
  const asset = (await opg.getAddress()).toLowerCase() as Hex;
  const seller = devAccounts()[5]!.address;
  await (await opg.transfer(seller, 1n)).wait();
  const facilitator = devAccounts()[9]!.address;
  const make = (kind: "eip3009" | "permit2" | "upto") =>
    makePayments({
      kind,
      count: COUNT,
      chainId: chain.chainId,
      asset,
      payer,
      payTo: seller,
      amount: PRICE,
      facilitator,
    });
  const rows: Row[] = [
    await settle(chain, "exact by ERC-3009, one by one", await make("eip3009"), 1),
    await settle(chain, "exact by ERC-3009, up to 100 in a transaction", await make("eip3009"), 100),
    await settle(chain, "exact by Permit2", await make("permit2"), 1),
    await settle(chain, "upto", await make("upto"), 1),
  ];
  for (const atOnce of [1, 16]) {
    for (const kind of ["eip3009", "upto"] as const) {
      rows.push(
        await verify(chain, `verify ${kind} by the packages, ${atOnce} at once`, await make(kind), {
          plain: [],
          atOnce,
        }),
      );
      rows.push(
        await verify(chain, `verify ${kind} quickly, ${atOnce} at once`, await make(kind), { plain: [asset], atOnce }),
      );
    }
  }
  for (const { what, perSecond, cpuMs, gasPerPayment, transactions } of rows) {
    const gas =
      gasPerPayment === undefined ? "" : `${Math.round(gasPerPayment)} gas each, ${transactions} transactions`;
    console.log(
      `${what.padEnd(48)} ${Math.round(perSecond).toString().padStart(6)}/s ${cpuMs.toFixed(1).padStart(6)} ms CPU  ${gas}`,
    );
  }
} finally {
  chain.close();
  await embedded.stop();
  rmSync(directory, { recursive: true });
}
