import { Option, type Command } from "commander";

import { connectChain, type Chain } from "../../chain/connectChain.ts";
import { findDeployment, loadAddressBook, type AddressBook } from "../../chain/addressBook.ts";
import { LocalBlobStore } from "../../storage/LocalBlobStore.ts";
import type { BlobStore } from "../../storage/BlobStore.ts";
import { WalrusBlobStore } from "../../storage/WalrusBlobStore.ts";
import { httpUrl } from "../options.ts";

export interface ChainOptions {
  rpc: string;
  deployment?: string;
}

export interface BlobOptions {
  blobs: string;
  aggregator?: string;
}

export const rpcOption = (): Option => new Option("--rpc <url>", "JSON-RPC of the chain").argParser(httpUrl);

export const deploymentOption = (): Option =>
  new Option("--deployment <network>", "address book, deployments/NETWORK.json; default: the one of this chain");

/** Where model blobs are. */
export const withBlobOptions = (command: Command): Command =>
  command
    .option("--blobs <place>", "where model blobs are: a folder, or a Walrus publisher's URL", ".data/zk/blobs")
    .option("--aggregator <url>", "Walrus aggregator; default: the publisher's URL", httpUrl);

export function blobStoreOf({ blobs, aggregator }: BlobOptions): BlobStore {
  if (/^https?:/.test(blobs)) {
    const publisherUrl = httpUrl(blobs);
    return new WalrusBlobStore({ publisherUrl, aggregatorUrl: aggregator ?? publisherUrl });
  }
  return new LocalBlobStore(blobs);
}

/** Connects to the chain and finds the contracts there; the connection is closed afterwards. */
export async function withChain<T>(
  { rpc, deployment }: ChainOptions,
  work: (chain: Chain, contracts: AddressBook["contracts"]) => Promise<T>,
): Promise<T> {
  const chain = await connectChain({ url: rpc });
  try {
    const book = await (deployment === undefined
      ? findDeployment(chain.provider, chain.chainId)
      : loadAddressBook(deployment));
    if (!book) {
      throw new Error(
        deployment === undefined
          ? `Expected the contracts of an address book in deployments/ on chain ${chain.chainId}, found none: deploy them, or name one with --deployment`
          : `Expected an address book deployments/${deployment}.json, found none`,
      );
    }
    if (book.chainId !== chain.chainId) {
      throw new Error(`Expected chain ${book.chainId}, which ${book.network} is, found ${chain.chainId} at ${rpc}`);
    }
    return await work(chain, book.contracts);
  } finally {
    chain.close();
  }
}
