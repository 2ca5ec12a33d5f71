import { join } from "node:path";

import { Wallet } from "ethers";

import type { Chain } from "../chain/connectChain.ts";
import { VerifierNode } from "../nodes/VerifierNode.ts";
import { signerFromKey } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { joinVerifierSet } from "../verification/joinVerifierSet.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import type { SimulatedZk } from "./SimulatedZk.ts";

const ROLE_VERIFIER = 2;

export interface SimulatedVerifierOptions {
  /** Holds the bond; pays for votes on chain and for challenges. */
  account: Participant;
  voteKey: Hex;
  contracts: ProtocolContracts;
  chain: Chain;
  blobs: BlobStore;
  directory: string;
  zk: SimulatedZk;
}

/** One verifier operator and its node. */
export class SimulatedVerifier {
  readonly account: Participant;
  readonly node: VerifierNode;
  readonly #options: SimulatedVerifierOptions;
  #seat: number | undefined;

  constructor(options: SimulatedVerifierOptions) {
    const { account, voteKey, contracts, chain, blobs, directory, zk } = options;
    this.#options = options;
    this.account = account;
    this.node = new VerifierNode({
      chain,
      contracts: contracts.addresses,
      fromBlock: contracts.startBlock,
      voter: signerFromKey(voteKey),
      submitter: account.submitter,
      blobs,
      ...zk.verifierOptions(blobs),
      databaseFile: join(directory, "verifier.sqlite"),
      logger: account.logger,
    });
  }

  /** @throws Error before start(). */
  get seat(): number {
    if (this.#seat === undefined) throw new Error("The verifier has no seat: await start() first");
    return this.#seat;
  }

  /** Bonds, takes a seat, and registers the running node so that settlers find it. The seat votes from the next snapshot on. */
  async start(stakeWei: bigint): Promise<void> {
    const { account, voteKey, contracts } = this.#options;
    const { nodes } = contracts;
    this.#seat = await joinVerifierSet({
      ...contracts,
      operator: account.wallet,
      voteKey: new Wallet(voteKey),
      stakeWei,
    });
    await this.node.start();
    await account.send(nodes.register.populateTransaction(ROLE_VERIFIER, account.address, this.node.url));
  }

  stop(): Promise<void> {
    return this.node.stop();
  }
}
