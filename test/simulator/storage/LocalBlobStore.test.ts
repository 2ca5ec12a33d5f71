import { expect } from "chai";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlobId } from "../../../simulator/storage/BlobStore.ts";
import { LocalBlobStore } from "../../../simulator/storage/LocalBlobStore.ts";
import { rejection } from "../../support/rejection.ts";

const bytes = Buffer.from("hello walrus");
const absent: BlobId = `0x${"ab".repeat(32)}`;

describe("LocalBlobStore", () => {
  let directory: string;
  let store: LocalBlobStore;
  let id: BlobId;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "blobs-"));
    store = new LocalBlobStore(join(directory, "made", "on", "demand"));
    id = await store.put(bytes);
  });
  after(() => rm(directory, { recursive: true }));

  const file = () => join(directory, "made", "on", "demand", id.slice(2));

  it("returns what was put, to another instance as well", async () => {
    expect(id).to.equal("0x908ac727fd557d8243f8e5743b526270cda5079b30afcdd991fbd30fb0565742");
    expect(Buffer.from(await store.get(id))).to.deep.equal(bytes);
    const other = new LocalBlobStore(join(directory, "made", "on", "demand"));
    expect(await other.has(id)).to.equal(true);
    expect(Buffer.from(await other.get(id))).to.deep.equal(bytes);
  });

  it("says so when there is nothing", async () => {
    expect(await store.has(absent)).to.equal(false);
    expect(await rejection(store.get(absent))).to.have.property("code", "blob_not_found");
  });

  it("takes nothing but ids for names", async () => {
    expect(await rejection(store.get("0x../../../../etc/passwd"))).to.have.property("name", "ZodError");
  });

  it("leaves no other files behind, concurrent puts of one content included", async () => {
    expect(new Set(await Promise.all([1, 2, 3, 4].map(() => store.put(bytes))))).to.deep.equal(new Set([id]));
    expect(await readdir(join(directory, "made", "on", "demand"))).to.deep.equal([id.slice(2)]);
  });

  it("refuses corrupted content, and put repairs it", async () => {
    await writeFile(file(), "hello wolrus");
    expect(await rejection(store.get(id))).to.have.property("code", "blob_mismatch");
    expect(await store.put(bytes)).to.equal(id);
    expect(await readFile(file(), "utf8")).to.equal("hello walrus");
  });
});
