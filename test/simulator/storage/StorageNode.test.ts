import { expect } from "chai";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { LocalBlobStore } from "../../../simulator/storage/LocalBlobStore.ts";
import { StorageNode } from "../../../simulator/storage/StorageNode.ts";
import { WalrusBlobStore, type WalrusBlobStoreOptions } from "../../../simulator/storage/WalrusBlobStore.ts";
import type { BlobId } from "../../../simulator/storage/BlobStore.ts";
import { rejection } from "../../support/rejection.ts";

const bytes = Buffer.from("hello walrus");
const text = "kIrHJ_1VfYJD-OV0O1JicM2lB5swr83ZkfvTD7BWV0I";
const id: BlobId = `0x${Buffer.from(text, "base64url").toString("hex")}`;
const absent: BlobId = `0x${"ab".repeat(32)}`;

describe("StorageNode and WalrusBlobStore", () => {
  let directory: string;
  let node: StorageNode;
  let client: WalrusBlobStore;
  const servers: Server[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "blobs-"));
    const store = new LocalBlobStore(directory);
    node = new StorageNode({ store, logger: pino({ level: "silent" }), maxBlobBytes: 1000 });
    await node.start();
    client = clientOf(node.url);
  });
  after(async () => {
    await node.stop();
    for (const server of servers) server.close().closeAllConnections();
    await rm(directory, { recursive: true });
  });

  const clientOf = (url: string, options: Partial<WalrusBlobStoreOptions> = {}) =>
    new WalrusBlobStore({ publisherUrl: url, aggregatorUrl: url, retryDelayMs: 1, ...options });

  /** A server in the way, or in place, of the storage node. */
  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, "127.0.0.1");
    servers.push(server);
    await new Promise((resolve) => server.once("listening", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it("answers as a publisher, new and known", async () => {
    const put = async () => (await fetch(`${node.url}/v1/blobs?epochs=5`, { method: "PUT", body: bytes })).json();
    expect(await put()).to.deep.equal({
      newlyCreated: { blobObject: { blobId: text, size: bytes.length, encodingType: "RS2" } },
    });
    expect(await put()).to.deep.equal({ alreadyCertified: { blobId: text } });
  });

  it("answers as an aggregator", async () => {
    const got = await fetch(`${node.url}/v1/blobs/${text}`);
    expect(await got.text()).to.equal("hello walrus");
    expect(got.headers.get("content-type")).to.equal("application/octet-stream");
    expect((await fetch(`${node.url}/v1/blobs/${text}`, { method: "HEAD" })).status).to.equal(200);
  });

  it("refuses wrong ids, unknown ids and large uploads", async () => {
    expect((await fetch(`${node.url}/v1/blobs/nonsense`)).status).to.equal(400);
    expect((await fetch(`${node.url}/v1/blobs/${Buffer.alloc(32).toString("base64url")}`)).status).to.equal(404);
    const large = await fetch(`${node.url}/v1/blobs`, { method: "PUT", body: Buffer.alloc(1001) });
    expect(large.status).to.equal(413);
    expect(await large.json()).to.have.nested.property("error.status", "RESOURCE_EXHAUSTED");
  });

  it("the client puts, gets and asks", async () => {
    const other = Buffer.from([0, 255, 1, 254]);
    const otherId = await client.put(other);
    expect(Buffer.from(await client.get(otherId))).to.deep.equal(other);
    expect(await client.has(otherId)).to.equal(true);
    expect(await client.has(absent)).to.equal(false);
    expect(await rejection(client.get(absent))).to.have.property("code", "blob_not_found");
  });

  it("content corrupted on disk is served by nobody", async () => {
    const victim = await client.put(Buffer.from("to be corrupted"));
    await writeFile(join(directory, victim.slice(2)), "corrupted");
    expect(
      (await fetch(`${node.url}/v1/blobs/${Buffer.from(victim.slice(2), "hex").toString("base64url")}`)).status,
    ).to.equal(500);
  });

  it("content of a lying aggregator is refused, unless told to trust it", async () => {
    const url = await serve((_request, response) => response.end("hello wolrus"));
    expect(await rejection(clientOf(url).get(id))).to.have.property("code", "blob_mismatch");
    expect(Buffer.from(await clientOf(url, { verify: false }).get(id)).toString()).to.equal("hello wolrus");
  });

  it("an id of a lying publisher is refused", async () => {
    const blobId = Buffer.alloc(32, 1).toString("base64url");
    const url = await serve((request, response) => {
      request.resume().on("end", () => response.end(JSON.stringify({ alreadyCertified: { blobId } })));
    });
    expect(await rejection(clientOf(url).put(bytes))).to.have.property("code", "blob_mismatch");
  });

  it("an endless answer is cut off", async () => {
    const url = await serve((_request, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(65536)));
      };
      response.on("drain", more);
      more();
    });
    expect(await rejection(clientOf(url, { maxBlobBytes: 100_000 }).get(id))).to.have.property(
      "code",
      "blob_too_large",
    );
  });

  it("tries again after failures and lost connections", async () => {
    let requests = 0;
    const url = await serve((request, response) => {
      requests++;
      if (requests === 1) request.socket.destroy();
      else if (requests === 2) response.writeHead(503).end();
      else response.end(bytes);
    });
    expect(Buffer.from(await clientOf(url).get(id))).to.deep.equal(bytes);
    expect(requests).to.equal(3);
  });

  it("gives up after the last try, and at once when refused", async () => {
    let requests = 0;
    const answering = (status: number) =>
      serve((_request, response) => {
        requests++;
        response.writeHead(status).end();
      });
    const down = clientOf(await answering(500), { attempts: 3 });
    expect(await rejection(down.get(id))).to.have.property("code", "walrus_request_failed");
    expect(requests).to.equal(3);
    requests = 0;
    const refusing = clientOf(await answering(403), { attempts: 3 });
    expect(await rejection(refusing.has(id))).to.have.property("code", "walrus_request_failed");
    expect(requests).to.equal(1);
  });
});
