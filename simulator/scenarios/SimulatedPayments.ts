import { join } from "node:path";

import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import { delay } from "../chain/delay.ts";
import type { Enclave } from "../enclave/Enclave.ts";
import { enclaveRoutes } from "../enclave/enclaveRoutes.ts";
import { Facilitator } from "../facilitator/Facilitator.ts";
import { FacilitatorServer } from "../facilitator/http/FacilitatorServer.ts";
import { ChannelClaimer } from "../gateway/channels/ChannelClaimer.ts";
import { ChannelLane } from "../gateway/channels/ChannelLane.ts";
import { quoteByTokens } from "../gateway/channels/quoteByTokens.ts";
import { walletAuthorizer } from "../gateway/channels/ReceiverAuthorizer.ts";
import { Gateway, type GatewayOptions } from "../gateway/Gateway.ts";
import type { NodeEndpoint } from "../gateway/NodeDirectory.ts";
import { PriceList } from "../gateway/payments/PriceList.ts";
import { ChainlinkPrice } from "../pricing/ChainlinkPrice.ts";
import { OpgPrice } from "../pricing/OpgPrice.ts";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import type { Hex } from "../receipts/types.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";
import type { SimulatedOperator } from "./SimulatedOperator.ts";

export interface SimulatedPaymentsOptions {
  chain: Chain;
  contracts: ProtocolContracts;
  /** Pays the gas of payments. */
  account: Participant;
  /** Where the stores are. */
  directory: string;
  /** Sell through the common gateway. */
  operators: readonly SimulatedOperator[];
  /** The one of them with whom clients can have payment channels. */
  channelOperator: SimulatedOperator;
  logger: Logger;
}

/** From a thousandth of a dollar to a thousand dollars. */
const PRICE_BOUNDS = { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 15n };
/** A session that nothing is asked of is settled soon: the simulation ends when everything is. */
const SESSION_IDLE_MS = 1_500;
const POLL_MS = 50;

/** Where clients pay: a facilitator, the common gateway with its channels, and the gateways of enclaves, each with its store. */
export class SimulatedPayments {
  readonly facilitator: Facilitator;
  /** The same over x402's HTTP API, for others; the gateways have it in process. */
  readonly facilitatorServer: FacilitatorServer;
  gateway: Gateway;
  readonly #options: SimulatedPaymentsOptions;
  readonly #channelPrice: OpgPrice;
  readonly #channels: ChannelLane;
  readonly #claimer: ChannelClaimer;
  readonly #enclaveGateways: Gateway[] = [];

  constructor(options: SimulatedPaymentsOptions) {
    this.#options = options;
    const { chain, contracts, account, channelOperator, directory, logger } = options;
    const asset = contracts.addresses.opg;
    this.facilitator = new Facilitator({
      chain,
      signer: account.wallet,
      outboxFile: join(directory, "payments.sqlite"),
      plainTokens: [asset],
      logger,
    });
    this.facilitatorServer = new FacilitatorServer({ facilitator: this.facilitator, logger });

    this.#channelPrice = this.#opgPrice();
    const authorizer = walletAuthorizer(channelOperator.account.wallet, chain.chainId);
    const rail = this.facilitator;
    this.#channels = new ChannelLane({
      domain: contracts.domain,
      asset,
      assetName: DOMAIN_NAME,
      assetVersion: DOMAIN_VERSION,
      receiverAuthorizer: channelOperator.account.address,
      authorizer,
      sellers: [channelOperator.node],
      commits: channelOperator.commits,
      rail,
      readChannels: (ids) => rail.channelStates(ids),
      quote: quoteByTokens(new PriceList(this.#channelPrice)),
      logger,
    });
    const { book, terms } = this.#channels;
    this.#claimer = new ChannelClaimer({ book, terms, rail, authorizer, logger });
    this.gateway = this.#createGateway(0);
  }

  async start(): Promise<void> {
    await this.facilitator.start();
    await this.facilitatorServer.start();
    await this.#channelPrice.start();
    await this.gateway.start();
    this.#claimer.start();
  }

  async stop(): Promise<void> {
    await this.#claimer.stop();
    await this.gateway.stop();
    await this.#channelPrice.stop();
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
    const gateway = new Gateway({
      ...this.#gatewayOptions(`${name.replaceAll(" ", "-")}-gateway.sqlite`),
      nodes: [node],
      tls: enclave.tls,
      plugins: [enclaveRoutes(enclave)],
    });
    this.#enclaveGateways.push(gateway);
    return gateway;
  }

  /** Resolves when everything that clients owe is on chain: sessions have ended, vouchers are claimed. */
  async settled(payer: Hex, signal: AbortSignal): Promise<void> {
    const gateways = [this.gateway, ...this.#enclaveGateways];
    const isOwed = async (): Promise<boolean> =>
      gateways.some(({ store }) => store.outstandingWei() > 0n) || (await this.facilitator.outstandingWei(payer)) > 0n;
    while (!signal.aborted && (await isOwed())) await delay(POLL_MS, signal);
    await this.#claimer.run();
  }

  #createGateway(port: number): Gateway {
    return new Gateway({
      ...this.#gatewayOptions("gateway.sqlite"),
      nodes: this.#options.operators.map(({ endpoint }) => endpoint),
      lanes: [this.#channels],
      port,
    });
  }

  #gatewayOptions(storeFile: string): Omit<GatewayOptions, "nodes"> {
    const { chain, contracts, directory, logger } = this.#options;
    return {
      domain: contracts.domain,
      asset: contracts.addresses.opg,
      provider: chain.provider,
      rail: this.facilitator,
      storeFile: join(directory, storeFile),
      opgPrice: this.#opgPrice(),
      sessionIdleMs: SESSION_IDLE_MS,
      logger,
    };
  }

  /** Each user of a price starts and stops its own. */
  #opgPrice(): OpgPrice {
    const { chain, contracts, logger } = this.#options;
    const source = new ChainlinkPrice({ provider: chain.provider, feed: contracts.addresses.priceFeed });
    return new OpgPrice({ sources: [source], bounds: PRICE_BOUNDS, logger });
  }
}
