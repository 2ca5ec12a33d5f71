import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MaxUint256, parseEther } from "ethers";
import type { Logger } from "pino";

import { readDeploymentParameters, parametersFile } from "../../ignition/deploymentParameters.ts";
import { connectChain, type Chain } from "../chain/connectChain.ts";
import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { deployOpenGradient } from "../chain/deployOpenGradient.ts";
import { devAccounts } from "../chain/devAccounts.ts";
import { EmbeddedChain } from "../chain/EmbeddedChain.ts";
import { checkX402Contracts } from "../chain/x402/checkX402Contracts.ts";
import { installLocalX402, NotLocalChainError } from "../chain/x402/installLocalX402.ts";
import { x402Addresses } from "../chain/x402/x402Addresses.ts";
import { CertificateChain } from "../enclave/CertificateChain.ts";
import { Enclave } from "../enclave/Enclave.ts";
import { TeeType } from "../enclave/EnclaveRegistrar.ts";
import { measureCode, pcrHashOf } from "../enclave/measure.ts";
import { testRoot } from "../enclave/testRoot.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../models/liquidationRisk.ts";
import type { InferenceNode, InferenceNodeOptions } from "../nodes/InferenceNode.ts";
import { knownModelIds, LlmProxyNode } from "../nodes/LlmProxyNode.ts";
import { LocalInferenceNode } from "../nodes/LocalInferenceNode.ts";
import { upstreamsFromEnvironment } from "../nodes/upstreams.ts";
import { addressOfKey } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import type { SettlementEvent, SettlementFaults } from "../settlement/BatchSettler.ts";
import { LocalBlobStore } from "../storage/LocalBlobStore.ts";
import { StorageNode } from "../storage/StorageNode.ts";
import { WalrusBlobStore } from "../storage/WalrusBlobStore.ts";
import { liarFaults } from "./liarFaults.ts";
import { keyOf, Participant } from "./Participant.ts";
import { protocolContracts, type ProtocolContracts } from "./ProtocolContracts.ts";
import { publishFileModel, publishNamedModel } from "./publishModel.ts";
import { SimulatedEnclave } from "./SimulatedEnclave.ts";
import { SimulatedPayments } from "./SimulatedPayments.ts";
import { SimulatedOperator, type SimulatedOperatorOptions } from "./SimulatedOperator.ts";
import { SimulatedPrice } from "./SimulatedPrice.ts";
import { FORGED_MODEL_ID, forgerFaults, SimulatedZk, WRONG_MODEL_ID, ZK_MODEL_ID } from "./SimulatedZk.ts";
import { SimulatedVerifier } from "./SimulatedVerifier.ts";

export interface NetworkSettings {
  verifiers: number;
  seed: number;
  /** A running chain; the embedded one when not given. */
  rpc?: string;
  /** Pays for everything; the first development account when not given. */
  privateKey?: Hex;
  logger: Logger;
}

export const LIAR_MODEL_ID = "liar/liquidation-risk-v1";
export const CHAT_FEE_WEI = parseEther("0.01");
/** What ModelRegistry asks for at least: a short answer that is charged by use may cost as little. */
const LEAST_CHAT_FEE_WEI = 10n ** 9n;
/** Of a small model: $0.15 and $0.60 for a million tokens. */
const CHAT_TOKEN_PRICE = { inputPicoUsd: 150_000n, outputPicoUsd: 600_000n };
/** $0.05, with 8 decimals: a figure of the simulation's. */
const OPG_PRICE = 5_000_000n;
const REPORTERS = ["price reporter 1", "price reporter 2", "price reporter 3"];
export const INFERENCE_FEE_WEI = parseEther("0.004");
const ROYALTY_BPS = 500;
const OPERATOR_STAKE = parseEther("20000");
const OPERATOR_PREPAID = parseEther("5000");
const VERIFIER_STAKE = parseEther("50000");
/** More than everybody bonds and prepays. */
const GRANT = parseEther("100000");
const GAS_MONEY = parseEther("0.1");
const BATCHING = { maxReceipts: 256, maxAgeMs: 2_000 };
/** Each lie needs a batch of its own. */
const LIAR_BATCHING = { maxReceipts: 1, maxAgeMs: 0 };

const DISHONEST = ["liar", "forger", "bungler"];

/** A settlement event of one operator. */
export interface OperatorSettlement extends SettlementEvent {
  operator: Hex;
}

/** A developer's own chain gets stand-ins of x402's contracts; any other has to have the real ones. */
async function provideX402(chain: Chain): Promise<void> {
  try {
    await installLocalX402(chain);
  } catch (error) {
    if (!(error instanceof NotLocalChainError)) throw error;
    await checkX402Contracts(chain.provider, ["exact", "upto", "batch-settlement"]);
  }
}

type CreateNode = (options: InferenceNodeOptions) => InferenceNode;

/** Every actor of the network in this process. The phases run in the order of the methods. */
export class SimulatedNetwork {
  readonly #settings: NetworkSettings;
  readonly #stops: (() => Promise<void>)[] = [];
  readonly #participants = new Map<string, Participant>();
  readonly settlements: OperatorSettlement[] = [];
  readonly verifiers: SimulatedVerifier[] = [];
  chain!: Chain;
  contracts!: ProtocolContracts;
  directory!: string;
  storage!: StorageNode;
  textOperator!: SimulatedOperator;
  riskOperator!: SimulatedOperator;
  liar!: SimulatedOperator;
  /** Answers in mode ZKML, and proves it. */
  zkOperator!: SimulatedOperator;
  /** Posts a proof that is none. */
  forger!: SimulatedOperator;
  /** Answers with other weights than the model's. */
  bungler!: SimulatedOperator;
  zk!: SimulatedZk;
  /** Sell the same models as the first two, from enclaves. */
  readonly enclaveOperators: SimulatedOperator[] = [];
  readonly enclaves: SimulatedEnclave[] = [];
  /** keccak256(PCR0 ‖ PCR1 ‖ PCR2) of what runs in them. */
  readonly images: Hex[] = [];
  price!: SimulatedPrice;
  payments!: SimulatedPayments;
  /** `modelId` of each model by its name. */
  readonly modelIds = new Map<string, Hex>();

  constructor(settings: NetworkSettings) {
    this.#settings = settings;
  }

  async startChain(): Promise<void> {
    const { rpc, logger } = this.#settings;
    this.directory = await mkdtemp(join(tmpdir(), "opengradient-sim-"));
    this.#stops.push(() => rm(this.directory, { recursive: true, force: true }));
    let url = rpc;
    if (url === undefined) {
      const embedded = new EmbeddedChain({ logger });
      await embedded.start();
      this.#stops.push(() => embedded.stop());
      url = embedded.url;
    }
    this.chain = await connectChain({ url });
    // the embedded chain has it already
    if (rpc !== undefined) await provideX402(this.chain);
    this.#stops.push(() => {
      this.chain.close();
      return Promise.resolve();
    });
  }

  async deploy(): Promise<void> {
    const deployer = this.#settings.privateKey ?? devAccounts(1)[0]!.privateKey;
    const treasury = await this.#join("treasury", deployer);
    const local = await readDeploymentParameters(parametersFile("localhost"));
    const parameters = {
      ...local,
      chainId: Number(this.chain.chainId),
      owner: treasury.address,
      treasury: treasury.address,
      // the first verifier set is everybody, and not whoever was there first
      minimums: { ...local.minimums, seats: this.#settings.verifiers },
      priceReporters: REPORTERS.map((name) => addressOfKey(keyOf(this.#settings.seed, name))),
    };
    const book = await deployOpenGradient({ chain: this.chain, deployerKey: deployer, parameters });
    this.contracts = protocolContracts(book, this.chain);
  }

  /** Gives everybody gas money and OPG, and publishes the models. */
  async fund(): Promise<void> {
    const names = [
      ...["text operator", "risk operator", "liar", "enclave text operator", "enclave risk operator"],
      ...["zk operator", "forger", "bungler"],
      ...["model owner", "client", "zk client", "consumer"],
      ...Array.from({ length: this.#settings.verifiers }, (_, i) => `verifier ${i + 1}`),
    ];
    const operators = names.filter((name) => name.endsWith("operator") || DISHONEST.includes(name));
    const hotKeys = [...operators.map((name) => `${name} hot key`), ...REPORTERS, "facilitator"];
    const treasury = this.participant("treasury");
    const { opg } = this.contracts;
    for (const name of [...names, ...hotKeys]) {
      const participant = await this.#join(name, keyOf(this.#settings.seed, name));
      await treasury.submitter.submit(Promise.resolve({ to: participant.address, value: GAS_MONEY }));
      if (names.includes(name)) await treasury.send(opg.transfer.populateTransaction(participant.address, GRANT));
    }
    // once, and never gas again: sponsored permits would have to be settled one after the other
    await this.participant("client").send(opg.approve.populateTransaction(x402Addresses.permit2, MaxUint256));
    await this.#startStorage();
  }

  async #startStorage(): Promise<void> {
    this.storage = new StorageNode({
      store: new LocalBlobStore(join(this.directory, "blobs")),
      logger: this.#settings.logger,
    });
    await this.storage.start();
    this.#stops.push(() => this.storage.stop());
    this.zk = new SimulatedZk({
      chain: this.chain,
      contracts: this.contracts,
      blobs: () => this.blobs(),
      owner: this.participant("model owner"),
      feeWei: INFERENCE_FEE_WEI,
      royaltyBps: ROYALTY_BPS,
      seed: this.#settings.seed,
      logger: this.#settings.logger,
    });
    this.#stops.push(() => this.zk.close());
  }

  async publishModels(): Promise<void> {
    const owner = this.participant("model owner");
    const terms = { royaltyBps: ROYALTY_BPS, priceWei: INFERENCE_FEE_WEI };
    const risk = await publishFileModel(
      this.contracts,
      owner,
      this.blobs(),
      LIQUIDATION_RISK_ID,
      LIQUIDATION_RISK_MODEL,
      terms,
    );
    this.modelIds.set(LIQUIDATION_RISK_ID, risk);
    const copy = await publishNamedModel(this.contracts, this.participant("liar"), LIAR_MODEL_ID, INFERENCE_FEE_WEI);
    this.modelIds.set(LIAR_MODEL_ID, copy);
    for (const id of knownModelIds(await upstreamsFromEnvironment())) {
      this.modelIds.set(id, await publishNamedModel(this.contracts, owner, id, LEAST_CHAT_FEE_WEI));
    }
  }

  async startVerifiers(): Promise<void> {
    const { settlement } = this.contracts;
    for (let i = 1; i <= this.#settings.verifiers; i++) {
      const name = `verifier ${i}`;
      const verifier = new SimulatedVerifier({
        account: this.participant(name),
        voteKey: keyOf(this.#settings.seed, `${name} vote`),
        contracts: this.contracts,
        chain: this.chain,
        blobs: this.blobs(),
        directory: await this.#folder(name),
        zk: this.zk,
      });
      await verifier.start(VERIFIER_STAKE);
      this.#stops.push(() => verifier.stop());
      this.verifiers.push(verifier);
    }
    // verifiers take it themselves too, and one of them may have been faster
    await this.participant("treasury")
      .send(settlement.snapshot.populateTransaction())
      .catch((error: unknown) => {
        if (!(error instanceof ContractRevertError && error.errorName === "SetNotUsable")) throw error;
      });
  }

  async startOperators(): Promise<void> {
    this.textOperator = await this.#startOperator("text operator", await this.#textNode());
    this.riskOperator = await this.#startOperator("risk operator", this.#riskNode(LIQUIDATION_RISK_ID));
    this.liar = await this.#startOperator("liar", this.#riskNode(LIAR_MODEL_ID), liarFaults());
    this.zkOperator = await this.#startOperator("zk operator", this.zk.provingNode(ZK_MODEL_ID));
    this.forger = await this.#startOperator("forger", this.zk.provingNode(FORGED_MODEL_ID), forgerFaults());
    const unasked = { collectVotes: false };
    this.bungler = await this.#startOperator("bungler", this.zk.bunglingNode(WRONG_MODEL_ID), unasked);
  }

  /** Publishes a model whose answers can be proven; needs the verifiers, who attest its commitment. */
  async publishZkModel(): Promise<void> {
    this.modelIds.set(ZK_MODEL_ID, await this.zk.publish());
  }

  /** Every operator. */
  get operators(): readonly SimulatedOperator[] {
    const open = [this.textOperator, this.riskOperator, this.liar, this.zkOperator, this.forger, this.bungler];
    return [...open, ...this.enclaveOperators];
  }

  async startPayments(): Promise<void> {
    this.price = new SimulatedPrice({
      chain: this.chain,
      feed: this.contracts.addresses.priceFeed,
      reporters: REPORTERS.map((name) => this.participant(name)),
      price: OPG_PRICE,
    });
    await this.price.start();
    this.#stops.push(() => this.price.stop());
    this.payments = new SimulatedPayments({
      chain: this.chain,
      contracts: this.contracts,
      account: this.participant("facilitator"),
      directory: this.directory,
      operators: this.operators,
      channelOperator: this.textOperator,
      logger: this.#settings.logger,
    });
    await this.payments.start();
    this.#stops.push(() => this.payments.stop());
  }

  /** Two operators whose nodes and gateways run in enclaves on one host; governance approves the code, and the chain checks that it is what runs. */
  async startEnclaves(): Promise<void> {
    const authorities = new CertificateChain(testRoot());
    const kinds = [
      { kind: "text", application: "llm-proxy", createNode: await this.#textNode() },
      { kind: "risk", application: "local-inference", createNode: this.#riskNode(LIQUIDATION_RISK_ID) },
    ];
    for (const { kind, application, createNode } of kinds) {
      const measurements = measureCode({ application });
      await this.participant("treasury").send(
        this.contracts.nodes.approvePCR.populateTransaction(measurements, application, TeeType.LlmProxy),
      );
      this.images.push(pcrHashOf(measurements));
      const name = `enclave ${kind} operator`;
      const booted = await Enclave.start({ authorities, measurements });
      const enclave = new SimulatedEnclave({
        enclave: booted,
        account: this.participant(name),
        hotKey: this.participant(`${name} hot key`),
        contracts: this.contracts,
        chain: this.chain,
        createGateway: (node) => this.payments.createEnclaveGateway(name, booted, node),
      });
      this.enclaves.push(enclave);
      this.enclaveOperators.push(await this.#startOperator(name, createNode, undefined, { enclave }));
    }
  }

  /** @throws Error for a name nobody has. */
  participant(name: string): Participant {
    const participant = this.#participants.get(name);
    if (!participant) throw new Error(`Nobody is called "${name}"`);
    return participant;
  }

  /** Everybody, in the order of joining. */
  get participants(): readonly Participant[] {
    return [...this.#participants.values()];
  }

  /** What a user of a running network needs, name and value; the key holds OPG of this chain and nothing else. */
  get handles(): [name: string, value: string][] {
    const { addresses, startBlock } = this.contracts;
    return [
      ["gateway", `${this.payments.gateway.url}/v1`],
      ["facilitator", this.payments.facilitatorServer.url],
      ["enclaves", this.enclaves.map(({ url }) => url).join(", ")],
      ["chain", this.chain.url],
      ["storage", this.storage.url],
      ["client key", this.participant("client").privateKey],
      ["model ids", [...this.modelIds.keys()].filter((id) => id !== LIAR_MODEL_ID).join(", ")],
      ["start block", String(startBlock)],
      ...Object.entries(addresses),
    ];
  }

  /** A handle to the storage node, as any actor has it. */
  blobs(): WalrusBlobStore {
    return new WalrusBlobStore({ publisherUrl: this.storage.url, aggregatorUrl: this.storage.url });
  }

  /** Stops everything that was started, newest first. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  async #textNode(): Promise<CreateNode> {
    const upstreams = await upstreamsFromEnvironment();
    const tokenPrice = CHAT_TOKEN_PRICE;
    const offers = knownModelIds(upstreams).map((id) => ({ ...this.#offer(id, CHAT_FEE_WEI), tokenPrice }));
    return (options) => new LlmProxyNode({ ...options, upstreams, offers });
  }

  #riskNode(id: string): CreateNode {
    const offer = { ...this.#offer(id, INFERENCE_FEE_WEI), source: LIQUIDATION_RISK_MODEL };
    return (options) => new LocalInferenceNode({ ...options, offers: [offer] });
  }

  #offer(id: string, feeWei: bigint) {
    return { id, modelId: this.modelIds.get(id)!, feeWei };
  }

  async #startOperator(
    name: string,
    createNode: CreateNode,
    faults?: SettlementFaults,
    signing: SimulatedOperatorOptions["signing"] = { key: keyOf(this.#settings.seed, `${name} signer`) },
  ): Promise<SimulatedOperator> {
    const account = this.participant(name);
    const operator = new SimulatedOperator({
      account,
      hotKey: this.participant(`${name} hot key`),
      signing,
      contracts: this.contracts,
      chain: this.chain,
      blobs: this.blobs(),
      directory: await this.#folder(name),
      createNode,
      bearerToken: keyOf(this.#settings.seed, `${name} token`),
      ...(faults ? LIAR_BATCHING : BATCHING),
      onSettlement: (event) => this.settlements.push({ ...event, operator: account.address }),
      ...(faults && { faults }),
    });
    await operator.start(OPERATOR_STAKE, OPERATOR_PREPAID);
    this.#stops.push(() => operator.stop());
    return operator;
  }

  async #join(name: string, privateKey: Hex): Promise<Participant> {
    const participant = new Participant(name, privateKey, this.chain, this.#settings.logger);
    // the facilitator brings its own submitter
    if (name !== "facilitator") {
      await participant.submitter.start();
      this.#stops.push(() => participant.submitter.stop());
    }
    this.#participants.set(name, participant);
    return participant;
  }

  async #folder(name: string): Promise<string> {
    const folder = join(this.directory, name.replaceAll(" ", "-"));
    await mkdir(folder, { recursive: true });
    return folder;
  }
}
