import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Wallet } from "ethers";
import type { EthereumProvider } from "hardhat/types/providers";
import { pino } from "pino";

import { connectChain, type Chain } from "../../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { signDigest } from "../../../simulator/receipts/secp256k1.ts";
import { batchHeaderSchema, type Hex, type SignedReceipt } from "../../../simulator/receipts/types.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { decodeBatchBlob } from "../../../simulator/settlement/batchBlob.ts";
import {
  BatchSettler,
  type BatchSettlerOptions,
  type SettlementEvent,
} from "../../../simulator/settlement/BatchSettler.ts";
import type { ReceiptSource } from "../../../simulator/settlement/ReceiptSource.ts";
import { LocalBlobStore } from "../../../simulator/storage/LocalBlobStore.ts";
import { createWorld, hexAddress, signedReceipt, type World } from "../../support/batches.ts";
import { latestTimestamp } from "../../support/protocol.ts";

const silent = pino({ level: process.env.LOG_LEVEL ?? "silent" });

/** The contract tests' world behind JSON-RPC, with an outbox, a blob store and votes for one settler at a time. */
export interface SettlementWorld extends World {
  chain: Chain;
  outbox: ReceiptStore;
  blobs: LocalBlobStore;
  events: SettlementEvent[];
  /** Seats that vote when asked, by their own HTTP server. */
  voting: Set<number>;
  /** Base URLs of the seats' servers. */
  voters: string[];
  /** Questions that any of them was asked. */
  questions: number;
  /** Stores receipts in the outbox, as a node does that has answered. */
  serve(
    count: number,
    fields?: (index: number) => Parameters<typeof signedReceipt>[1],
    individual?: boolean,
  ): Promise<SignedReceipt[]>;
  /** A submitter of the operator's hot key, as a process would have it; started. */
  startSubmitter(): Promise<TransactionSubmitter>;
  /** A settler over the files of this world, as another process would make it; started. */
  settler(options?: Partial<BatchSettlerOptions>): Promise<BatchSettler>;
  /** The receipts of every batch that was ever posted, by batch id, as anybody finds them. */
  posted(): Promise<Map<Hex, SignedReceipt[]>>;
  close(): Promise<void>;
}

/** Short, so that the tests are; nothing depends on it. */
const POLL_MS = 10;

export async function createSettlementWorld(): Promise<SettlementWorld> {
  const world = await createWorld();
  const directory = await mkdtemp(join(tmpdir(), "settlement-"));
  const stops: (() => Promise<unknown>)[] = [];
  const servers: Server[] = [];
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener).listen(0, "127.0.0.1");
    servers.push(server);
    await new Promise((resolve) => server.once("listening", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  const chain = await connectChain({ url: await serve(jsonRpc(world.connection.provider)) });
  const outbox = new ReceiptStore(join(directory, "answers.sqlite"));
  const blobs = new LocalBlobStore(join(directory, "blobs"));
  const submitterAddress = await hexAddress(world.submitter);
  const submitterKey = devAccounts().find(({ address }) => address === submitterAddress)!.privateKey;
  const contracts = {
    settlement: await hexAddress(world.settlement),
    models: await hexAddress(world.models),
    nodes: await hexAddress(world.nodes),
  };

  const self: SettlementWorld = {
    ...world,
    chain,
    outbox,
    blobs,
    events: [],
    voting: new Set([0, 1, 2, 3]),
    voters: [],
    questions: 0,

    async serve(count, fields = () => ({}), individual = false) {
      const servedAt = BigInt(await latestTimestamp(world));
      const receipts = Array.from({ length: count }, (_, i) => signedReceipt(world, { servedAt, ...fields(i) }));
      for (const receipt of receipts) {
        const answer = { kind: "inference" as const, bodyHash: "", streamed: false, content: "{}", receipt };
        await outbox.add(answer, { individual });
      }
      return receipts;
    },

    async startSubmitter() {
      const submitter = new TransactionSubmitter({ chain, signer: new Wallet(submitterKey), logger: silent });
      await submitter.start();
      stops.push(() => submitter.stop());
      return submitter;
    },

    async settler(options = {}) {
      const settler = new BatchSettler({
        operator: world.operatorAddress,
        chain,
        contracts,
        submitter: options.submitter ?? (await self.startSubmitter()),
        source: outbox,
        blobs,
        databaseFile: join(directory, "batches.sqlite"),
        verifiers: () => Promise.resolve(self.voters),
        logger: silent,
        maxAgeMs: 0,
        pollMs: POLL_MS,
        quorumPatienceMs: 60_000,
        onEvent: (event) => self.events.push(event),
        ...options,
      });
      stops.push(() => settler.stop());
      await settler.start();
      return settler;
    },

    async posted() {
      const batches = new Map<Hex, SignedReceipt[]>();
      for (const { args } of await world.settlement.queryFilter(world.settlement.filters.BatchSubmitted())) {
        const blob = await blobs.get(args.batch.blobId as Hex);
        batches.set(args.batchId as Hex, decodeBatchBlob(blob).receipts);
      }
      return batches;
    },

    async close() {
      await Promise.all(stops.map((stop) => stop()));
      chain.close();
      outbox.close();
      for (const server of servers) server.close().closeAllConnections();
      await world.connection.close();
      await rm(directory, { recursive: true });
    },
  };

  self.voters = await Promise.all(
    world.verifiers.map(({ key }, seat) =>
      serve((request, response) => {
        self.questions++;
        let body = "";
        request.on("data", (chunk: Buffer) => (body += chunk.toString()));
        request.on("end", () => {
          if (!self.voting.has(seat)) {
            response.writeHead(422).end(JSON.stringify({ code: "unwilling", message: "not now" }));
            return;
          }
          const header = batchHeaderSchema.parse((JSON.parse(body) as { header: unknown }).header);
          const signature = signDigest(world.hasher.batchDigest(header), key.privateKey as Hex);
          response.end(JSON.stringify({ seat, signature }));
        });
      }),
    ),
  );
  return self;
}

/** What a process can still do to its outbox after it was killed: nothing. */
export function mortalSource(source: ReceiptSource): ReceiptSource & { kill(): void } {
  let alive = true;
  return {
    unbatched: (limit) => (alive ? source.unbatched(limit) : []),
    individual: (limit) => (alive ? source.individual(limit) : []),
    markBatched: (requestIds, batchId) => {
      if (alive) source.markBatched(requestIds, batchId);
    },
    markPlaced: (place) => {
      if (alive) source.markPlaced(place);
    },
    kill: () => {
      alive = false;
    },
  };
}

/** Waits for `condition` in small steps. @throws when it does not become true within `boundMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, boundMs = 20_000): Promise<void> {
  const end = performance.now() + boundMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Not true within ${boundMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Puts an in-process provider behind HTTP, batches and errors with their data included. */
function jsonRpc(provider: EthereumProvider): RequestListener {
  interface Call {
    id: unknown;
    method: string;
    params?: unknown[];
  }
  const answer = async ({ id, method, params = [] }: Call) => {
    try {
      return { jsonrpc: "2.0", id, result: (await provider.request({ method, params })) as unknown };
    } catch (error) {
      const { code = -32_603, message, data } = error as { code?: number; message: string; data?: unknown };
      return { jsonrpc: "2.0", id, error: { code, message, data } };
    }
  };
  return (request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const calls = JSON.parse(body) as Call | Call[];
      const answered = Array.isArray(calls) ? Promise.all(calls.map(answer)) : answer(calls);
      void answered.then((result) => response.end(JSON.stringify(result)));
    });
  };
}
