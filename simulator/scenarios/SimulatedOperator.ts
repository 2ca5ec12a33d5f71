import { join } from "node:path";

import { MaxUint256 } from "ethers";

import type { Chain } from "../chain/connectChain.ts";
import type { InferenceNode, InferenceNodeOptions } from "../nodes/InferenceNode.ts";
import { EscrowStore } from "../nodes/EscrowStore.ts";
import { sealingKeyOfEnclave } from "../nodes/SealedRequests.ts";
import { EscrowWorker } from "../nodes/EscrowWorker.ts";
import { ReceiptStore } from "../nodes/ReceiptStore.ts";
import { GroupCommit } from "../persistence/GroupCommit.ts";
import { signerFromKey } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import { BatchSettler, type SettlementEvent, type SettlementFaults } from "../settlement/BatchSettler.ts";
import { registeredVerifiers } from "../settlement/registeredVerifiers.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import type { Participant } from "./Participant.ts";
import { addSigner, registerNode } from "./registerNode.ts";
import type { SimulatedEnclave } from "./SimulatedEnclave.ts";

const ROLE_INFERENCE = 0;

export interface SimulatedOperatorOptions {
  /** Holds bond, payments and the prepaid account. */
  account: Participant;
  /** Hot key that posts batches and fulfils escrow requests. */
  hotKey: Participant;
  /** Signs receipts: a key of its own, in mode VANILLA, or an enclave's, in mode TEE. */
  signing: { key: Hex } | { enclave: SimulatedEnclave };
  contracts: ProtocolContracts;
  chain: Chain;
  /** Own handle to the shared storage. */
  blobs: BlobStore;
  /** Files of this operator. */
  directory: string;
  createNode: (options: InferenceNodeOptions) => InferenceNode;
  bearerToken: string;
  /** Receipts in a batch, at most, and how long the oldest waits. */
  maxReceipts: number;
  maxAgeMs: number;
  faults?: SettlementFaults;
  onSettlement: (event: SettlementEvent) => void;
}

/** One inference operator: its node, the settler of its receipts, and the worker for its escrow requests. */
export class SimulatedOperator {
  readonly account: Participant;
  readonly node: InferenceNode;
  readonly settler: BatchSettler;
  readonly #options: SimulatedOperatorOptions;
  /** The database of answers and receipts; what charges for them is written with them. */
  readonly commits: GroupCommit;
  readonly #store: ReceiptStore;
  readonly #escrowStore: EscrowStore;
  readonly #escrowWorker: EscrowWorker;

  constructor(options: SimulatedOperatorOptions) {
    const { account, hotKey, signing, contracts, chain, blobs, directory, createNode } = options;
    const logger = hotKey.logger.child({ operator: account.name });
    this.#options = options;
    this.account = account;
    this.commits = new GroupCommit(join(directory, "receipts.sqlite"));
    this.#store = new ReceiptStore(this.commits);
    const keys =
      "key" in signing
        ? { signer: signerFromKey(signing.key) }
        : { enclave: signing.enclave.enclave, sealing: sealingKeyOfEnclave(signing.enclave.enclave) };
    this.node = createNode({
      domain: contracts.domain,
      operator: account.address,
      payout: account.address,
      asset: contracts.addresses.opg,
      ...keys,
      store: this.#store,
      bearerToken: options.bearerToken,
      logger,
    });
    this.settler = new BatchSettler({
      operator: account.address,
      chain,
      contracts: contracts.addresses,
      submitter: hotKey.submitter,
      source: this.#store,
      blobs,
      databaseFile: join(directory, "batches.sqlite"),
      verifiers: () => registeredVerifiers(chain, contracts.addresses.nodes),
      logger,
      maxReceipts: options.maxReceipts,
      maxAgeMs: options.maxAgeMs,
      onEvent: options.onSettlement,
      ...(options.faults && { faults: options.faults }),
    });
    this.#escrowStore = new EscrowStore(join(directory, "escrow.sqlite"));
    this.#escrowWorker = new EscrowWorker({
      chain,
      escrow: contracts.addresses.escrow,
      domain: contracts.domain,
      fromBlock: contracts.startBlock,
      node: this.node,
      blobs,
      submitter: hotKey.submitter,
      store: this.#escrowStore,
      logger,
    });
  }

  get endpoint(): { url: string; token: string } {
    return { url: this.node.url, token: this.#options.bearerToken };
  }

  /** Bonds, starts everything, and registers the running node with its key. */
  async start(stakeWei: bigint, prepaidWei: bigint): Promise<void> {
    const { account, hotKey, signing, contracts } = this.#options;
    const { opg, staking, settlement } = contracts;
    for (const spender of [staking, settlement]) {
      await account.send(opg.approve.populateTransaction(await spender.getAddress(), MaxUint256));
    }
    await account.send(staking.stake.populateTransaction(ROLE_INFERENCE, stakeWei));
    await account.send(settlement.deposit.populateTransaction(account.address, prepaidWei));
    await account.send(settlement.setSubmitter.populateTransaction(hotKey.address));
    await this.node.start();
    if ("enclave" in signing) await signing.enclave.start(this.endpoint);
    else await addSigner(contracts, account, await registerNode(contracts, account, this.node.url), signing.key);
    await this.settler.start();
    await this.#escrowWorker.start();
  }

  async stop(): Promise<void> {
    await this.#escrowWorker.stop();
    await this.settler.stop();
    if ("enclave" in this.#options.signing) await this.#options.signing.enclave.stop();
    await this.node.stop();
    this.#escrowStore.close();
    this.#store.close();
    this.commits.close();
  }
}
