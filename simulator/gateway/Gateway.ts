import type { Network } from "@x402/core/types";
import type { FastifyInstance } from "fastify";
import { tariffToJson } from "../receipts/tariff.ts";
import { tokenPriceToJson } from "../pricing/TokenPrice.ts";
import { GroupCommit } from "../persistence/GroupCommit.ts";
import { GatewayError } from "./GatewayError.ts";
import type { GatewayOptions } from "./GatewayOptions.ts";
import { GatewayRoutes } from "./GatewayRoutes.ts";
import { GatewayHttp } from "./http/GatewayHttp.ts";
import { InferenceDriver } from "./InferenceDriver.ts";
import { NodeDirectory, type Offer } from "./NodeDirectory.ts";
import { PaymentCollector } from "./PaymentCollector.ts";
import { DebtLedger } from "./payments/DebtLedger.ts";
import { ExactMethod } from "./payments/ExactMethod.ts";
import { FreeDesk, isDevelopmentChain } from "./payments/FreeDesk.ts";
import { PayerBalances } from "./payments/PayerBalances.ts";
import { PayerStanding } from "./payments/PayerStanding.ts";
import { PaymentDesk } from "./payments/PaymentDesk.ts";
import { PaymentGate } from "./payments/PaymentGate.ts";
import type { PaymentMethod } from "./payments/PaymentMethod.ts";
import { PriceList } from "./payments/PriceList.ts";
import { RequestBooks } from "./payments/RequestBooks.ts";
import { SessionKeeper } from "./payments/SessionKeeper.ts";
import { SessionStore } from "./payments/SessionStore.ts";
import { UptoMethod } from "./payments/UptoMethod.ts";
import { RequestStore } from "./RequestStore.ts";
import { SettlementLookup } from "./SettlementLookup.ts";

export type { GatewayOptions, TlsIdentity } from "./GatewayOptions.ts";

const OPG = 10n ** 18n;
const DEFAULT_EXPOSURE_CAP_WEI = 10n * OPG;
const DEFAULT_SESSION_CAP_WEI = OPG / 10n;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const PURGE_MS = 60_000;
const IDLE_CHECK_MS = 20;
/** After the longest inference there still has to be time to get a transaction mined. */
const SETTLEMENT_MARGIN_SECONDS = 60;

/**
 * OpenAI-compatible HTTP API in front of one operator's inference nodes, paid per request by x402. Each payment buys one inference, or, in a
 * session, several; what was bought survives a crash of the gateway, a node or the connection.
 */
export class Gateway {
  readonly store: RequestStore;
  readonly sessions: SessionStore;
  readonly directory: NodeDirectory;
  readonly #options: GatewayOptions;
  readonly #commit: GroupCommit;
  readonly #app: FastifyInstance;
  readonly #http: GatewayHttp;
  readonly #gate: PaymentGate;
  readonly #prices: PriceList;
  readonly #collector: PaymentCollector;
  readonly #keeper: SessionKeeper;
  readonly #driver: InferenceDriver;
  #purge: NodeJS.Timeout | undefined;
  #url: string | undefined;

  constructor(options: GatewayOptions) {
    const logger = options.logger.child({ actor: "gateway" });
    const { domain, asset, provider, rail, answerTimeoutMs = 120_000, sweepMs = 5_000, payment = "x402" } = options;
    const network: Network = `eip155:${domain.chainId}`;
    this.#options = options;
    if (payment === "none" && !isDevelopmentChain(domain.chainId)) {
      throw new RangeError(
        `Expected a development chain to give answers away on, found ${domain.chainId}; payment "none-anywhere" insists`,
      );
    }
    if (payment !== "x402")
      logger.warn("NOTHING HAS TO BE PAID: answers are given away, and their receipts are not settled");
    const { storeFile, durability = "power" } = options;
    this.#commit = typeof storeFile === "string" ? new GroupCommit(storeFile, { durability }) : storeFile;
    const debts = new DebtLedger();
    const store = (this.store = new RequestStore(this.#commit, debts));
    const sessions = (this.sessions = new SessionStore(this.#commit));
    const directory = (this.directory = new NodeDirectory({
      nodes: options.nodes,
      logger,
      ...(options.nodePollMs !== undefined && { pollMs: options.nodePollMs }),
    }));
    const gate = (this.#gate = new PaymentGate({
      rail,
      network,
      asset,
      validitySeconds: options.paymentValiditySeconds ?? 3_600,
    }));
    const prices = (this.#prices = new PriceList(options.opgPrice, options.tariff));
    const minValiditySeconds = Math.ceil(answerTimeoutMs / 1000) + SETTLEMENT_MARGIN_SECONDS;
    const balances = new PayerBalances(provider, asset, options.balanceTtlMs ?? 2_000);
    const timing = options.timing ?? "deferred";
    const collector = (this.#collector = new PaymentCollector({ store, rail, balances, timing, logger, sweepMs }));
    const keeper = (this.#keeper = new SessionKeeper({
      ...{ store, sessions, debts, rail, balances, logger, minValiditySeconds },
      sweepMs: Math.min(sweepMs, 1_000),
      idleMs: options.sessionIdleMs ?? 100_000,
    }));
    const driver = (this.#driver = new InferenceDriver({
      store,
      directory,
      books: new RequestBooks({ store, collector, keeper }),
      domain,
      logger,
      answerTimeoutMs,
      retryMs: options.nodeRetryMs ?? 3_000,
      recoveryMs: options.recoveryMs ?? 60_000,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    }));
    const exposureCapWei = options.exposureCapWei ?? DEFAULT_EXPOSURE_CAP_WEI;
    const standing = new PayerStanding({ store, rail, balances, exposureCapWei });
    const parts = { gate, store, sessions, driver, directory, standing, domain, minValiditySeconds };
    const methods: PaymentMethod[] = [
      new ExactMethod({ ...parts, kind: "exact/eip3009", collector }),
      new ExactMethod({ ...parts, kind: "exact/permit2", collector }),
      new UptoMethod({ ...parts, keeper, prices, sessionCapWei: options.sessionCapWei ?? DEFAULT_SESSION_CAP_WEI }),
    ];
    const { lanes = [] } = options;
    const desk = new PaymentDesk(
      methods.filter(({ kind }) => options.methods?.includes(kind) ?? true),
      lanes,
    );
    const free = payment === "x402" ? undefined : new FreeDesk({ store, driver, directory, domain, asset });
    const http = (this.#http = new GatewayHttp(options.limits));
    const app = (this.#app = http.createApp(options.tls));
    const settlements = new SettlementLookup({ directory, logger });
    const routes = new GatewayRoutes({
      http,
      gate,
      desk,
      free,
      directory,
      store,
      sessions,
      keeper,
      settlements,
      logger,
    });
    routes.prepare(app);
    app.after(() => {
      routes.addTo(app);
      for (const plugin of [...lanes.map((lane) => lane.plugin), ...(options.plugins ?? [])]) {
        if (plugin !== undefined) app.register(plugin);
      }
      app.get("/v1/models", () => this.#models());
      app.get("/health", () => this.#health());
    });
    if (free === undefined)
      for (const lane of lanes) lane.takeFirst?.(app.server, http.limits, http.observerOf(lane.scheme));
  }

  /** Base URL without a path; known once started. OpenAI clients take it with "/v1". */
  get url(): string {
    if (this.#url === undefined) throw new Error("Gateway is not started");
    return this.#url;
  }

  /** Takes up what an earlier run left, then listens. */
  async start(): Promise<void> {
    const { provider, methods, opgPrice, lanes = [] } = this.#options;
    await Promise.all([this.#gate.start(provider, methods), this.directory.start(), opgPrice?.start()]);
    this.#http.watch(this.#options.rail, {
      inferences: () => this.#driver.underWay,
      requests: () => this.store.counts(),
      outstandingWei: () => this.store.outstandingWei(),
      openSessions: () => this.sessions.counts().open,
      ...(lanes.length > 0 && {
        openChannels: () => lanes.reduce((sum, lane) => sum + (lane.openChannels?.() ?? 0), 0),
      }),
      ...(opgPrice && { priceAgeSeconds: () => secondsOf(opgPrice.ageMs()) }),
    });
    await this.#collector.start();
    await this.#keeper.start();
    this.#driver.recover();
    this.#purge = setInterval(() => this.#forgetOld(), PURGE_MS);
    this.#purge.unref();
    this.#url = await this.#app.listen({ host: this.#options.host ?? "127.0.0.1", port: this.#options.port ?? 0 });
  }

  /** Refuses new requests, lets those under way end for a while, and keeps the rest for the next run. */
  async stop(): Promise<void> {
    clearInterval(this.#purge);
    const closing = this.#app.close();
    // connections that a client keeps open after its answer would hold the server up
    const idle = setInterval(() => this.#app.server.closeIdleConnections(), IDLE_CHECK_MS);
    await this.#driver.stop(this.#options.drainMs ?? 10_000);
    await closing;
    clearInterval(idle);
    await this.#collector.stop();
    await this.#keeper.stop();
    await this.#options.opgPrice?.stop();
    this.directory.stop();
    if (typeof this.#options.storeFile === "string") this.#commit.close();
  }

  #models(): object {
    const data = this.directory.available().map((offer) => {
      const { model, modelId, kind, modes, feeWei, tokenPrice, maxOutputTokens, payTo, operator } = offer;
      return {
        id: model,
        object: "model",
        created: 0,
        owned_by: operator,
        opengradient: {
          ...{ modelId, kind, modes, feeWei: feeWei.toString(), asset: this.#options.asset, payTo, operator },
          ...(tokenPrice && { tokenPrice: tokenPriceToJson(tokenPrice), tariff: this.#tariffNow(offer) }),
          ...(maxOutputTokens !== undefined && { maxOutputTokens }),
        },
      };
    });
    return { object: "list", data };
  }

  /** What tokens cost in wei at the moment; null when that is not known. */
  #tariffNow(offer: Offer): object | null {
    try {
      return tariffToJson(this.#prices.tariffFor(offer));
    } catch (error) {
      if (error instanceof GatewayError) return null;
      throw error;
    }
  }

  #health(): object {
    const nodes = this.directory.health();
    return {
      status: nodes.some(({ up }) => up) ? "ok" : "degraded",
      network: `eip155:${this.#options.domain.chainId}`,
      settlement: this.#options.domain.verifyingContract,
      nodes,
      requests: this.store.counts(),
      sessions: this.sessions.counts(),
    };
  }

  #forgetOld(): void {
    const now = Date.now();
    const answeredBeforeMs = now - (this.#options.replayMs ?? 3_600_000);
    const nowSeconds = Math.floor(now / 1000);
    Promise.all([
      this.store.purge(answeredBeforeMs, nowSeconds),
      this.sessions.purge(answeredBeforeMs, nowSeconds),
    ]).catch((error: unknown) => this.#options.logger.error({ err: error }, "old requests not forgotten"));
  }
}

const secondsOf = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1_000);
