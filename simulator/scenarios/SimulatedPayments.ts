import { join } from "node:path";

import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import type { Enclave } from "../enclave/Enclave.ts";
import { enclaveRoutes } from "../enclave/enclaveRoutes.ts";
import { Facilitator } from "../facilitator/Facilitator.ts";
import { FacilitatorServer } from "../facilitator/http/FacilitatorServer.ts";
import { Gateway, type GatewayOptions } from "../gateway/Gateway.ts";
import type { NodeEndpoint } from "../gateway/NodeDirectory.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";

export interface SimulatedPaymentsOptions {
  chain: Chain;
  contracts: ProtocolContracts;
  /** Pays the gas of payments. */
  account: Participant;
  /** Where the stores are. */
  directory: string;
  /** The operators that sell through the common gateway. */
  nodes: NodeEndpoint[];
  logger: Logger;
}

/** Where clients pay: a facilitator, the common gateway, and the gateways of enclaves, each with its store. */
export class SimulatedPayments {
  readonly facilitator: Facilitator;
  /** The same over x402's HTTP API, for others; the gateways have it in process. */
  readonly facilitatorServer: FacilitatorServer;
  gateway: Gateway;
  readonly #options: SimulatedPaymentsOptions;

  constructor(options: SimulatedPaymentsOptions) {
    this.#options = options;
    const { chain, account, directory, logger } = options;
    this.facilitator = new Facilitator({
      chain,
      signer: account.wallet,
      outboxFile: join(directory, "payments.sqlite"),
      logger,
    });
    this.facilitatorServer = new FacilitatorServer({ facilitator: this.facilitator, logger });
    this.gateway = this.#createGateway(0);
  }

  async start(): Promise<void> {
    await this.facilitator.start();
    await this.facilitatorServer.start();
    await this.gateway.start();
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    await this.facilitatorServer.stop();
    await this.facilitator.stop();
  }

  /** Ends the gateway and starts another one over the same file, at the same address. */
  async restartGateway(): Promise<void> {
    const port = Number(new URL(this.gateway.url).port);
    await this.gateway.stop();
    this.gateway = this.#createGateway(port);
    await this.gateway.start();
  }

  /** A gateway in an enclave, in front of the node there; not started. */
  createEnclaveGateway(name: string, enclave: Enclave, node: NodeEndpoint): Gateway {
    return new Gateway({
      ...this.#gatewayOptions(`${name.replaceAll(" ", "-")}-gateway.sqlite`),
      nodes: [node],
      tls: enclave.tls,
      plugins: [enclaveRoutes(enclave)],
    });
  }

  #createGateway(port: number): Gateway {
    return new Gateway({ ...this.#gatewayOptions("gateway.sqlite"), nodes: this.#options.nodes, port });
  }

  #gatewayOptions(storeFile: string): Omit<GatewayOptions, "nodes"> {
    const { chain, contracts, directory, logger } = this.#options;
    return {
      domain: contracts.domain,
      asset: contracts.addresses.opg,
      provider: chain.provider,
      rail: this.facilitator,
      storeFile: join(directory, storeFile),
      logger,
    };
  }
}
