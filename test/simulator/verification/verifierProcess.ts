/** Runs a verifier in a process of its own, to be killed: its one argument is JSON. Sends its URL, then what it tells, to the parent. */
import { Wallet } from "ethers";
import { pino } from "pino";

import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { VerifierNode, type VerifierNodeOptions } from "../../../simulator/nodes/VerifierNode.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { LocalBlobStore } from "../../../simulator/storage/LocalBlobStore.ts";

export interface VerifierProcessOptions {
  rpcUrl: string;
  contracts: VerifierNodeOptions["contracts"];
  voteKey: Hex;
  payerKey: Hex;
  blobDirectory: string;
  databaseFile: string;
  staggerMs: number;
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? "") as VerifierProcessOptions;
  const logger = pino({ level: "silent" });
  const chain = await connectChain({ url: options.rpcUrl });
  const submitter = new TransactionSubmitter({ chain, signer: new Wallet(options.payerKey), logger });
  await submitter.start();
  const node = new VerifierNode({
    chain,
    contracts: options.contracts,
    fromBlock: 0,
    voter: signerFromKey(options.voteKey),
    submitter,
    blobs: new LocalBlobStore(options.blobDirectory),
    databaseFile: options.databaseFile,
    logger,
    staggerMs: options.staggerMs,
    snapshotIntervalMs: 0,
  });
  node.on("judged", ({ verdict }) => process.send?.({ judged: verdict }));
  node.on("challenged", ({ transactionHash }) => process.send?.({ challenged: transactionHash }));
  await node.start();
  process.send?.({ url: node.url });
}

// test runners load every file below test/, in processes that are forked too
if (process.argv[1] === import.meta.filename) await main();
