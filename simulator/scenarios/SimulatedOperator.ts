import { join } from "node:path";

import { MaxUint256, Wallet, type TypedDataField } from "ethers";

import type { Chain } from "../chain/connectChain.ts";
import type { InferenceNode, InferenceNodeOptions } from "../nodes/InferenceNode.ts";
import { EscrowStore } from "../nodes/EscrowStore.ts";
import { EscrowWorker } from "../nodes/EscrowWorker.ts";
import { ReceiptStore } from "../nodes/ReceiptStore.ts";
import { signerFromKey } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import { BatchSettler, type SettlementEvent, type SettlementFaults } from "../settlement/BatchSettler.ts";
import { registeredVerifiers } from "../settlement/registeredVerifiers.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import type { Participant } from "./Participant.ts";

const ROLE_INFERENCE = 0;
const FAR_FUTURE = 2 ** 40 - 1;
const SIGNER_CONSENT: Record<string, TypedDataField[]> = {
  SignerConsent: [
    { name: "nodeId", type: "bytes32" },
    { name: "operator", type: "address" },
    { name: "validUntil", type: "uint40" },
  ],
};

export interface SimulatedOperatorOptions {
  /** Holds bond, payments and the prepaid account. */
  account: Participant;
  /** Hot key that posts batches and fulfils escrow requests. */
  hotKey: Participant;
  /** Signs receipts. */
  signerKey: Hex;
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
  readonly #store: ReceiptStore;
  readonly #escrowStore: EscrowStore;
  readonly #escrowWorker: EscrowWorker;

  constructor(options: SimulatedOperatorOptions) {
    const { account, hotKey, signerKey, contracts, chain, blobs, directory, createNode } = options;
    const logger = hotKey.logger.child({ operator: account.name });
    this.#options = options;
    this.account = account;
    this.#store = new ReceiptStore(join(directory, "receipts.sqlite"));
    const signer = signerFromKey(signerKey);
    this.node = createNode({
      domain: contracts.domain,
      operator: account.address,
      payout: account.address,
      asset: contracts.addresses.opg,
      signer,
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
    const { account, hotKey, signerKey, contracts } = this.#options;
    const { opg, staking, settlement } = contracts;
    for (const spender of [staking, settlement]) {
      await account.send(opg.approve.populateTransaction(await spender.getAddress(), MaxUint256));
    }
    await account.send(staking.stake.populateTransaction(ROLE_INFERENCE, stakeWei));
    await account.send(settlement.deposit.populateTransaction(account.address, prepaidWei));
    await account.send(settlement.setSubmitter.populateTransaction(hotKey.address));
    await this.node.start();
    await registerNode(contracts, account, this.node.url, signerKey);
    await this.settler.start();
    await this.#escrowWorker.start();
  }

  async stop(): Promise<void> {
    await this.#escrowWorker.stop();
    await this.settler.stop();
    await this.node.stop();
    this.#escrowStore.close();
    this.#store.close();
  }
}

/** Registers a node in service at `url` whose receipts are signed by `signerKey`. */
async function registerNode(
  { nodes, chainId, addresses }: ProtocolContracts,
  account: Participant,
  url: string,
  signerKey: Hex,
): Promise<void> {
  const registered = await account.send(nodes.register.populateTransaction(ROLE_INFERENCE, account.address, url));
  const event = registered.logs
    .map((log) => nodes.interface.parseLog(log))
    .find((log) => log?.name === "NodeRegistered");
  const nodeId = event!.args[0] as string;
  const key = new Wallet(signerKey);
  const consent = await key.signTypedData(
    { name: "OpenGradient", version: "1", chainId, verifyingContract: addresses.nodes },
    SIGNER_CONSENT,
    { nodeId, operator: account.address, validUntil: FAR_FUTURE },
  );
  await account.send(nodes.addSigner.populateTransaction(nodeId, key.address, FAR_FUTURE, consent));
}
