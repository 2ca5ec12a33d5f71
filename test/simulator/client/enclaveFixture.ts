import type { Wallet } from "ethers";
import OpenAI from "openai";
import { pino } from "pino";
import { EnclaveFetch, type EnclaveFetchOptions } from "../../../simulator/client/EnclaveFetch.ts";
import type { VerifiedReceipt } from "../../../simulator/client/ReceiptBook.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { NodeRegistry } from "../../../typechain-types/index.ts";
import { deployEnclaveRegistry, registerEnclave } from "../../support/enclaves.ts";
import { FEE, GatewayFixture } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../gateway/ScriptedNode.ts";
import { EnclaveEndpoint, type EnclaveEndpointOptions } from "./EnclaveEndpoint.ts";
import { startEnclave } from "./registeredEnclave.ts";

export interface OpenOptions extends Partial<Pick<EnclaveEndpointOptions, "tls" | "routes">> {
  /** What the image runs: others have other measurements. */
  application?: string;
  /** Whom the node asks to pay. Default: who is registered. */
  payout?: Hex;
}

export interface OpenedEnclave {
  enclave: Enclave;
  endpoint: EnclaveEndpoint;
  node: ScriptedNode;
}

/** The gateway's fixture with a registry of enclaves, where enclaves are registered by real attestations under the test root. */
export class EnclaveFixture {
  readonly world: GatewayFixture;
  readonly nodes: NodeRegistry;
  readonly registry: Hex;
  readonly receipts: VerifiedReceipt[] = [];
  /** All enclaves are on one host, whose certificates the chain checks once. */
  readonly #authorities = new CertificateChain(testRoot());
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(world: GatewayFixture, nodes: NodeRegistry, registry: Hex) {
    this.world = world;
    this.nodes = nodes;
    this.registry = registry;
  }

  static async start(): Promise<EnclaveFixture> {
    const world = await GatewayFixture.start();
    const nodes = await deployEnclaveRegistry(world.chain.account(0), world.chain.asset);
    return new EnclaveFixture(world, nodes, (await nodes.getAddress()).toLowerCase() as Hex);
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    await this.world.stop();
  }

  get operator(): Wallet {
    return this.world.chain.account(10);
  }

  startEnclave(application = "llm-proxy"): Promise<Enclave> {
    return startEnclave({ authorities: this.#authorities, application });
  }

  /** An enclave whose node and gateway are real, with an endpoint that lies on demand; registered. */
  async open({ application, payout = this.world.payout, ...changes }: OpenOptions = {}): Promise<OpenedEnclave> {
    const enclave = await this.startEnclave(application);
    const node = this.world.newNode({ enclave, signer: enclave.signer, payout });
    const nodes = [node, this.#tensorNode(enclave, payout)];
    for (const each of nodes) {
      await each.start();
      this.#closers.push(() => each.stop());
    }
    const gateway = await this.world.openGateway({ nodes: nodes.map(({ url }) => ({ url, token: NODE_TOKEN })) });
    const { domain } = this.world;
    const endpoint = new EnclaveEndpoint({ enclave, domain, upstream: gateway.url, ...changes });
    await endpoint.start();
    this.#closers.push(() => endpoint.stop());
    await this.register(enclave, endpoint.url);
    return { enclave, endpoint, node };
  }

  #tensorNode(enclave: Enclave, payout: Hex): LocalInferenceNode {
    const { domain, operator, chain } = this.world;
    const modelId = keccak256(LIQUIDATION_RISK_ID);
    return new LocalInferenceNode({
      domain,
      operator,
      payout,
      enclave,
      asset: chain.asset,
      store: new ReceiptStore(":memory:"),
      bearerToken: NODE_TOKEN,
      logger: pino({ level: "silent" }),
      offers: [{ id: LIQUIDATION_RISK_ID, modelId, feeWei: FEE, source: LIQUIDATION_RISK_MODEL }],
    });
  }

  register(enclave: Enclave, endpoint: string): Promise<void> {
    const { nodes, operator } = this;
    const { payout, chain } = this.world;
    return registerEnclave(enclave, { nodes, url: chain.url, operator, payout, endpoint });
  }

  options(changes: Partial<EnclaveFetchOptions> = {}): EnclaveFetchOptions {
    const { chain, domain, payer } = this.world;
    return {
      provider: chain.provider,
      registry: this.registry,
      policy: { allowTestRoot: true },
      wallet: payer,
      domain,
      asset: chain.asset,
      maxPaymentWei: 10n ** 17n,
      onReceipt: (receipt) => this.receipts.push(receipt),
      retryPauseMs: 5,
      ...changes,
    };
  }

  /** A client of these enclaves only, which it tries in this order, or else in its own. */
  client(enclaves: readonly OpenedEnclave[] | "any", changes: Partial<EnclaveFetchOptions> = {}): EnclaveFetch {
    const client = new EnclaveFetch(this.options({ ...(enclaves !== "any" && inOrder(enclaves)), ...changes }));
    this.#closers.push(() => client.close());
    return client;
  }

  openai({ baseUrl, fetch }: EnclaveFetch, maxRetries = 0): OpenAI {
    return new OpenAI({ baseURL: baseUrl, apiKey: "none", maxRetries, fetch });
  }
}

function inOrder(enclaves: readonly OpenedEnclave[]): Pick<EnclaveFetchOptions, "prefer"> {
  const ids = enclaves.map(({ enclave }) => enclave.teeId);
  return { prefer: (listed) => ids.flatMap((id) => listed.filter(({ teeId }) => teeId === id)) };
}
