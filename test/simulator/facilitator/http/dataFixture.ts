import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodePaymentSignatureHeader } from "@x402/core/http";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { keccak256, parseEther, toUtf8Bytes, Wallet } from "ethers";
import { pino } from "pino";
import { devAccounts } from "../../../../simulator/chain/devAccounts.ts";
import type { Enclave } from "../../../../simulator/enclave/Enclave.ts";
import { DataSettler, type DataSettlerOptions } from "../../../../simulator/facilitator/data/DataSettler.ts";
import { HeartbeatRelay } from "../../../../simulator/facilitator/data/HeartbeatRelay.ts";
import { SqliteDataJobStore } from "../../../../simulator/facilitator/data/SqliteDataJobStore.ts";
import { TeeStatementCheck } from "../../../../simulator/facilitator/data/TeeStatementCheck.ts";
import { Facilitator } from "../../../../simulator/facilitator/Facilitator.ts";
import {
  FacilitatorServer,
  type FacilitatorServerOptions,
} from "../../../../simulator/facilitator/http/FacilitatorServer.ts";
import { signTeeFields } from "../../../../simulator/receipts/teeReceipt.ts";
import type { Hex } from "../../../../simulator/receipts/types.ts";
import type { BlobStore } from "../../../../simulator/storage/BlobStore.ts";
import { LocalBlobStore } from "../../../../simulator/storage/LocalBlobStore.ts";
import { TEEInferenceVerifier__factory, type NodeRegistry } from "../../../../typechain-types/index.ts";
import { deployEnclaveRegistry, registerEnclave } from "../../../support/enclaves.ts";
import { startEnclave } from "../../client/registeredEnclave.ts";
import { startLocalChain, type LocalChain } from "../localChain.ts";
import { requirementsFor, stockPayment } from "../payments.ts";

export const PRICE = parseEther("0.01");
export const OPERATOR = { name: "acme", token: "acme-secret" };
export const OTHER = { name: "other", token: "other-secret" };
const logger = pino({ level: "silent" });

/** A chain with a registered enclave and a facilitator over HTTP that serves two operators. */
export class DataFixture {
  readonly chain: LocalChain;
  readonly nodes: NodeRegistry;
  readonly enclave: Enclave;
  readonly directory = mkdtempSync(join(tmpdir(), "facilitator-data-"));
  readonly file = join(this.directory, "payments.db");
  readonly blobs = new LocalBlobStore(join(this.directory, "blobs"));
  readonly payTo: Hex;
  readonly #verifier: Hex;
  readonly #registry: Hex;
  facilitator!: Facilitator;
  jobs!: SqliteDataJobStore;
  server!: FacilitatorServer;
  #answers = 0;

  private constructor(
    chain: LocalChain,
    nodes: NodeRegistry,
    enclave: Enclave,
    contracts: { verifier: Hex; registry: Hex },
  ) {
    this.chain = chain;
    this.nodes = nodes;
    this.enclave = enclave;
    this.payTo = chain.account(5).address.toLowerCase() as Hex;
    this.#verifier = contracts.verifier;
    this.#registry = contracts.registry;
  }

  static async start(): Promise<DataFixture> {
    const chain = await startLocalChain();
    const owner = chain.account(0);
    const nodes = await deployEnclaveRegistry(owner, chain.asset);
    const enclave = await startEnclave();
    const operator = new Wallet(devAccounts()[5]!.privateKey);
    await registerEnclave(enclave, {
      nodes,
      url: chain.url,
      operator,
      payout: operator.address,
      endpoint: "https://enclave.example.org",
    });
    const verifier = await new TEEInferenceVerifier__factory(owner).deploy(nodes);
    await chain.opg.transfer(chain.account(1).address, parseEther("1000"));
    const lower = async (contract: { getAddress(): Promise<string> }): Promise<Hex> =>
      (await contract.getAddress()).toLowerCase() as Hex;
    const contracts = { verifier: await lower(verifier), registry: await lower(nodes) };
    const fixture = new DataFixture(chain, nodes, enclave, contracts);
    await fixture.open();
    return fixture;
  }

  get registry(): Hex {
    return this.#registry;
  }

  get heartbeatSender(): Wallet {
    return this.chain.account(8);
  }

  /** A facilitator over the fixture's file, as a new process would open it. */
  async open(
    settler: Partial<DataSettlerOptions> = {},
    options: Partial<FacilitatorServerOptions> = {},
    blobs: BlobStore = this.blobs,
  ): Promise<void> {
    const { chain } = this;
    this.facilitator = new Facilitator({
      chain,
      signer: chain.account(9),
      outboxFile: this.file,
      logger,
      settler: { minRetryMs: 10 },
    });
    this.jobs = new SqliteDataJobStore(this.file);
    await this.facilitator.start();
    this.server = new FacilitatorServer({
      facilitator: this.facilitator,
      logger,
      operators: [OPERATOR, OTHER],
      data: {
        jobs: this.jobs,
        settler: new DataSettler({ jobs: this.jobs, blobs, logger, pollMs: 20, retryMs: 10, ...settler }),
        check: new TeeStatementCheck(chain.provider, this.#verifier),
        heartbeats: new HeartbeatRelay({ chain, registry: this.#registry, signer: this.heartbeatSender, logger }),
      },
      ...options,
    });
    await this.server.start();
  }

  async close(): Promise<void> {
    await this.server.stop();
    await this.facilitator.stop();
    await this.jobs.close();
  }

  async stop(): Promise<void> {
    await this.close();
    await this.chain.stop();
    rmSync(this.directory, { recursive: true });
  }

  async now(): Promise<number> {
    return (await this.chain.provider.getBlock("latest"))!.timestamp;
  }

  /** A payment that the facilitator has settled. */
  async paid(
    token = OPERATOR.token,
  ): Promise<{ payload: PaymentPayload; requirements: PaymentRequirements; header: string }> {
    const made = await this.payment();
    const response = await this.post("/settle", this.envelope(made), { token });
    const { success } = (await response.json()) as { success: boolean };
    if (!success) throw new Error("not settled");
    return made;
  }

  async payment(): Promise<{ payload: PaymentPayload; requirements: PaymentRequirements; header: string }> {
    const requirements = requirementsFor(this.chain, this.payTo, PRICE);
    const payload = await stockPayment(this.chain, this.chain.account(1), requirements);
    return { payload, requirements, header: encodePaymentSignatureHeader(payload) };
  }

  envelope({ payload, requirements }: { payload: PaymentPayload; requirements: PaymentRequirements }): object {
    return { x402Version: 2, paymentPayload: payload, paymentRequirements: requirements };
  }

  /** A new answer of the enclave's, as its gateway reports it. */
  async statement(enclave: Pick<Enclave, "teeId" | "signTeeMessage"> = this.enclave): Promise<Record<string, unknown>> {
    const input = `{"messages": [{"content": "question ${++this.#answers}", "role": "user"}]}`;
    const output = `answer ${this.#answers}`;
    const hash = (text: string): Hex => keccak256(toUtf8Bytes(text)) as Hex;
    const tee = await signTeeFields(enclave, {
      requestHash: hash(input),
      outputHash: hash(output),
      timestamp: BigInt(await this.now()),
    });
    return {
      tee_id: tee.tee_id,
      input_hash: tee.tee_request_hash,
      output_hash: tee.tee_output_hash,
      tee_signature: tee.tee_signature,
      tee_timestamp: tee.tee_timestamp,
      input,
      output,
    };
  }

  report(data: object, headers: Record<string, string>, token = OPERATOR.token): Promise<Response> {
    const encoded = Buffer.from(JSON.stringify(data)).toString("base64");
    return this.post("/settle_data", undefined, { token, headers: { "x-settlement-data": encoded, ...headers } });
  }

  post(path: string, body: unknown, { token = OPERATOR.token, headers = {} }: PostOptions = {}): Promise<Response> {
    return fetch(this.server.url + path, {
      method: "POST",
      headers: {
        ...(token !== "" && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async get(path: string, token = OPERATOR.token): Promise<{ status: number; body: Record<string, unknown> }> {
    const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(this.server.url + path, { headers });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
}

interface PostOptions {
  token?: string;
  headers?: Record<string, string>;
}
