import { TeeType } from "../enclave/EnclaveRegistrar.ts";
import type { Chain } from "../chain/connectChain.ts";
import type { Enclave } from "../enclave/Enclave.ts";
import { EnclaveKeeper } from "../enclave/EnclaveKeeper.ts";
import { EnclaveRegistrar, type Attested } from "../enclave/EnclaveRegistrar.ts";
import type { Gateway } from "../gateway/Gateway.ts";
import type { NodeEndpoint } from "../gateway/NodeDirectory.ts";
import type { Hex } from "../receipts/types.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import { registerNode } from "./registerNode.ts";

export interface SimulatedEnclaveOptions {
  enclave: Enclave;
  /** The operator. */
  account: Participant;
  /** Brings heartbeats. */
  hotKey: Participant;
  contracts: ProtocolContracts;
  chain: Chain;
  /** The gateway inside the enclave, over TLS, not started. */
  createGateway: (node: NodeEndpoint) => Gateway;
}

/** An enclave with what runs in it besides the node: the gateway that ends TLS there. On chain it is what the node is reached by. */
export class SimulatedEnclave {
  readonly enclave: Enclave;
  readonly #options: SimulatedEnclaveOptions;
  readonly #registrar: EnclaveRegistrar;
  readonly #keeper: EnclaveKeeper;
  #gateway: Gateway | undefined;
  #attested: Attested | undefined;

  constructor(options: SimulatedEnclaveOptions) {
    const { enclave, account, hotKey, contracts, chain } = options;
    const { nodes, chainId, addresses } = contracts;
    const logger = account.logger;
    this.enclave = enclave;
    this.#options = options;
    this.#registrar = new EnclaveRegistrar({ chain, nodes, submitter: account.submitter, logger });
    this.#keeper = new EnclaveKeeper({
      chain,
      nodes,
      enclave,
      registrar: this.#registrar,
      submitter: hotKey.submitter,
      domain: { chainId, verifyingContract: addresses.nodes },
      logger,
    });
  }

  /** Where clients reach it. */
  get url(): string {
    if (this.#gateway === undefined) throw new Error("The enclave is not started");
    return this.#gateway.url;
  }

  /** What its registration took. */
  get attested(): Attested {
    if (this.#attested === undefined) throw new Error("The enclave is not started");
    return this.#attested;
  }

  /** Opens the gateway in front of a running node, and registers node and enclave. */
  async start(node: NodeEndpoint): Promise<void> {
    const { account, contracts, createGateway } = this.#options;
    this.#gateway = createGateway(node);
    await this.#gateway.start();
    const nodeId: Hex = await registerNode(contracts, account, this.#gateway.url);
    this.#attested = await this.#registrar.register(nodeId, this.enclave, TeeType.LlmProxy);
    await this.#keeper.start();
  }

  async stop(): Promise<void> {
    await this.#keeper.stop();
    await this.#gateway?.stop();
  }
}
