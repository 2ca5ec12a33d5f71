import type { FastifyPluginCallback } from "fastify";
import type { Provider } from "ethers";
import type { Logger } from "pino";
import type { Charge } from "../facilitator/payment.ts";
import type { HttpLimits } from "../http/HttpLimits.ts";
import type { Durability, GroupCommit } from "../persistence/GroupCommit.ts";
import type { OpgPrice } from "../pricing/OpgPrice.ts";
import type { TariffOptions } from "../pricing/tariffOf.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import type { NodeEndpoint } from "./NodeDirectory.ts";
import type { PaymentRail, SettlementTiming } from "./PaymentCollector.ts";
import type { PaymentLane } from "./payments/PaymentMethod.ts";

/** A certificate and its key: what an enclave's attestation binds. */
export interface TlsIdentity {
  /** PEM. */
  key: string;
  /** PEM; of a chain the first is the gateway's own. */
  cert: string;
}

export interface GatewayOptions {
  /** ProofSettlement and its chain: receipts are for it, payments on it. */
  domain: SettlementDomain;
  /** OPG, or any ERC-3009 token with its EIP-712 domain. */
  asset: Hex;
  provider: Provider;
  rail: PaymentRail;
  /** The operator's nodes. */
  nodes: NodeEndpoint[];
  /** SQLite file of requests and answers; or one that is shared, which stays open. */
  storeFile: string | GroupCommit;
  logger: Logger;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Serves HTTPS, TLS 1.2 or later, with this identity. Default: plain HTTP. */
  tls?: TlsIdentity;
  /** Further routes, such as an enclave's: Fastify plugins, each in a scope of its own. */
  plugins?: readonly FastifyPluginCallback[];
  /** "none" gives answers away; refused on public chains unless "none-anywhere". Default "x402". */
  payment?: "x402" | "none" | "none-anywhere";
  /** Ways to pay, of those that the facilitator supports. Default: all. */
  methods?: readonly Charge["kind"][];
  /** Further ways to pay. */
  lanes?: readonly PaymentLane[];
  /** Price of OPG, started and stopped with the gateway. Without it models that are sold by the token have their fixed fee only. */
  opgPrice?: OpgPrice;
  /** On top of what tokens cost. */
  tariff?: TariffOptions;
  /** What a session of the scheme `upto` is signed for, wei. Default 0.1 OPG. */
  sessionCapWei?: bigint;
  /** A session that nothing is asked of for this long is settled. Default 100,000. */
  sessionIdleMs?: number;
  /** When `exact` payments are settled; sessions are when they end. Default "deferred". */
  timing?: SettlementTiming;
  /** What an answer survives before it leaves. Default "power". */
  durability?: Durability;
  /** What one payer may owe at most, wei. Default 10 OPG. */
  exposureCapWei?: bigint;
  /** How long payments are asked to be valid. Default 3,600. */
  paymentValiditySeconds?: number;
  /** Default 120,000. */
  answerTimeoutMs?: number;
  /** How long an answer that is paid for can be fetched again. Default one hour. */
  replayMs?: number;
  /** How long a node that cannot be reached is tried again. Default 3,000. */
  nodeRetryMs?: number;
  /** The same for requests an earlier run had reserved. Default 60,000. */
  recoveryMs?: number;
  /** Default 5,000. */
  nodePollMs?: number;
  /** How much of the gateway one client may use. Each has a default. */
  limits?: Partial<HttpLimits>;
  /** How long `stop` waits for inferences under way. Default 10,000. */
  drainMs?: number;
  /** How often payments that could not be handed to the facilitator are tried again. Default 5,000. */
  sweepMs?: number;
  /** How long a payer's balance is taken as known. Default 2,000. */
  balanceTtlMs?: number;
}
