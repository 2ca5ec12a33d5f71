import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Wallet } from "ethers";
import type { EthereumProvider } from "hardhat/types/providers";
import { pino } from "pino";

import { connectChain, type Chain } from "../../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { VerifierNode, type VerifierNodeOptions } from "../../../simulator/nodes/VerifierNode.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { encodeBatchBlob } from "../../../simulator/settlement/batchBlob.ts";
import { BlobNotFoundError, type BlobId, type BlobStore } from "../../../simulator/storage/BlobStore.ts";
import type { VerifierEvents } from "../../../simulator/verification/VerifierEvents.ts";
import {
  buildBatch,
  freshWorld,
  hexAddress,
  type BatchOptions,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";

const silent = pino({ level: process.env.LOG_LEVEL ?? "silent" });

/** Content by hash, without Walrus's second of encoding; can pretend to have lost it. */
export class MemoryBlobs implements BlobStore {
  readonly #contents = new Map<BlobId, Uint8Array>();
  readonly withheld = new Set<BlobId>();

  put(bytes: Uint8Array): Promise<BlobId> {
    const id = keccak256(bytes);
    this.#contents.set(id, bytes);
    return Promise.resolve(id);
  }

  get(id: BlobId): Promise<Uint8Array> {
    const bytes = this.#contents.get(id);
    return bytes && !this.withheld.has(id) ? Promise.resolve(bytes) : Promise.reject(new BlobNotFoundError(id));
  }

  has(id: BlobId): Promise<boolean> {
    return Promise.resolve(this.#contents.has(id) && !this.withheld.has(id));
  }
}

type Report = { [Name in keyof VerifierEvents]: { name: Name; seat: number } & VerifierEvents[Name][0] };
/** What a verifier told, and which. */
export type VerifierReport = Report[keyof VerifierEvents];

export interface BuildOptions extends BatchOptions {
  /** The header believes the tree's totals, as one does that is to pass for right. */
  headerFollowsTree?: boolean;
  /** Whose batch it is, when not the world's operator's. */
  by?: Pick<World, "operatorAddress" | "nodeKey">;
  /** Where its blob goes, instead of the world's. */
  store?: BlobStore;
}

/** The contract tests' world behind JSON-RPC, with verifiers over it. */
export interface VerifierWorld extends World {
  chain: Chain;
  contracts: VerifierNodeOptions["contracts"];
  blobs: MemoryBlobs;
  /** By seat. */
  running: VerifierNode[];
  /** Everything any verifier told, in order. */
  reports: VerifierReport[];
  /** Starts the verifier of a seat, again with the files of its last run. */
  startVerifier(seat: number, options?: Partial<VerifierNodeOptions>): Promise<VerifierNode>;
  startAll(options?: Partial<VerifierNodeOptions>): Promise<void>;
  /** Ends the verifier of a seat. */
  stopVerifier(seat: number): Promise<void>;
  /** Builds a batch and stores its blob. */
  build(options?: BuildOptions): Promise<BuiltBatch>;
  /** Reports by name. */
  told<Name extends keyof VerifierEvents>(name: Name): Report[Name][];
  /** Resolves when as many reports of `name` have come. */
  toldBy<Name extends keyof VerifierEvents>(name: Name, count: number): Promise<Report[Name][]>;
  close(): Promise<void>;
}

/** @param base the world to be verified, when not a fresh one. */
export async function createVerifierWorld(base: Promise<World> = freshWorld()): Promise<VerifierWorld> {
  const world = await base;
  const directory = await mkdtemp(join(tmpdir(), "verifiers-"));
  const server = await serveJsonRpc(world.connection.provider);
  const chain = await connectChain({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const contracts = {
    settlement: await hexAddress(world.settlement),
    models: await hexAddress(world.models),
    nodes: await hexAddress(world.nodes),
  };
  const blobs = new MemoryBlobs();
  const submitters = new Map<number, TransactionSubmitter>();

  const self: VerifierWorld = {
    ...world,
    chain,
    contracts,
    blobs,
    running: [],
    reports: [],

    async startVerifier(seat, options = {}) {
      const signer = new Wallet(payerKey(seat));
      const submitter = new TransactionSubmitter({ chain, signer, logger: silent });
      await submitter.start();
      submitters.set(seat, submitter);
      const node = new VerifierNode({
        chain,
        contracts,
        fromBlock: 0,
        voter: signerFromKey(world.verifiers[seat]!.key.privateKey as Hex),
        submitter,
        blobs,
        databaseFile: join(directory, `verifier-${seat}.sqlite`),
        logger: silent,
        staggerMs: 100,
        retryMs: 50,
        searchTimeoutMs: 300,
        blobAttempts: 1,
        snapshotIntervalMs: 0,
        ...options,
      });
      for (const name of EVENT_NAMES) {
        node.on(name, (report: object) => self.reports.push({ name, seat, ...report } as VerifierReport));
      }
      await node.start();
      self.running[seat] = node;
      return node;
    },

    async startAll(options) {
      for (const seat of world.verifiers.keys()) await self.startVerifier(seat, options);
    },

    async stopVerifier(seat) {
      await self.running[seat]?.stop();
      await submitters.get(seat)?.stop();
    },

    async build({ headerFollowsTree = false, by, store = blobs, ...options } = {}) {
      const batch = await buildBatch({ ...world, ...by }, options);
      const blob = encodeBatchBlob({
        domain: world.hasher.domain,
        operator: batch.header.operator,
        receipts: [...batch.receipts],
        royalties: batch.royalties.map(BigInt),
      });
      const { total } = batch.tree.root;
      const header = {
        ...batch.header,
        blobId: await store.put(blob),
        ...(headerFollowsTree && { fees: total >> 32n, count: Number(total & 0xffffffffn) }),
      };
      return { ...batch, header, id: world.hasher.batchDigest(header) };
    },

    told(name) {
      return self.reports.filter((report) => report.name === name) as Report[typeof name][];
    },

    async toldBy(name, count) {
      await eventually(() => self.told(name).length >= count, `${count} × ${name}`);
      return self.told(name);
    },

    async close() {
      await Promise.all([...submitters.keys()].map((seat) => self.stopVerifier(seat)));
      chain.close();
      server.close().closeAllConnections();
      await rm(directory, { recursive: true });
    },
  };
  return self;
}

/** Key of the account that pays for a verifier's transactions: one of the world's that play no part otherwise. */
export const payerKey = (seat: number): Hex => devAccounts()[10 + seat]!.privateKey;

const EVENT_NAMES: readonly (keyof VerifierEvents)[] = [
  "voted",
  "refused",
  "judged",
  "unreadable",
  "attested",
  "challenged",
  "provenWrong",
  "commitmentVoted",
  "commitmentRefused",
  "modelJudged",
  "modelUnreadable",
  "accumulated",
  "commitmentProvenWrong",
  "snapshotted",
];

/** Waits for `condition` in small steps. @throws when it does not become true within `boundMs`. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what = condition.toString(),
  boundMs = 20_000,
): Promise<void> {
  const end = performance.now() + boundMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Not true within ${boundMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

interface RpcCall {
  id: unknown;
  method: string;
  params?: unknown[];
}

/** Puts an in-process provider behind HTTP, batches and errors with their data included. */
export async function serveJsonRpc(provider: EthereumProvider): Promise<Server> {
  const answer = async ({ id, method, params = [] }: RpcCall) => {
    try {
      const result: unknown = await provider.request({ method, params });
      return { jsonrpc: "2.0", id, result };
    } catch (error) {
      const { code = -32_603, message, data } = error as { code?: number; message: string; data?: unknown };
      return { jsonrpc: "2.0", id, error: { code, message, data } };
    }
  };
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const calls = JSON.parse(body) as RpcCall | RpcCall[];
      const answered = Array.isArray(calls) ? Promise.all(calls.map(answer)) : answer(calls);
      void answered.then((result) => response.end(JSON.stringify(result)));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
