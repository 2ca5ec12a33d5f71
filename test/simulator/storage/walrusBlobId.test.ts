import { expect } from "chai";
import { randomBytes } from "node:crypto";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { blobIdToBase64Url } from "../../../simulator/storage/BlobStore.ts";
import { walrusBlobId } from "../../../simulator/storage/walrusBlobId.ts";

const hello = Buffer.from("hello walrus");
const helloId = "kIrHJ_1VfYJD-OV0O1JicM2lB5swr83ZkfvTD7BWV0I";

describe("walrusBlobId", () => {
  it("is the id of the Walrus network", async () => {
    expect(blobIdToBase64Url(await walrusBlobId(hello))).to.equal(helloId);
  });

  it("computes a content once, however many ask", async () => {
    const content = randomBytes(1000);
    // A computation takes more than a second and the worker does one after the other: twenty would take twenty.
    const started = performance.now();
    const first = await walrusBlobId(content);
    const onceMs = performance.now() - started;
    const again = performance.now();
    const ids = await Promise.all(Array.from({ length: 20 }, () => walrusBlobId(Buffer.from(content))));
    expect(new Set(ids)).to.deep.equal(new Set([first]));
    expect(performance.now() - again).to.be.below(onceMs);

    const fresh = randomBytes(1000);
    const shared = performance.now();
    await Promise.all(Array.from({ length: 20 }, () => walrusBlobId(fresh)));
    expect(performance.now() - shared).to.be.below(10 * onceMs);
  });

  it("keeps the process alive for a computation, and only for that", async () => {
    const module = new URL("../../../simulator/storage/walrusBlobId.ts", import.meta.url);
    const script = `import(${JSON.stringify(module.href)}).then(async ({ walrusBlobId }) => {
      console.log(await walrusBlobId(Buffer.from("hello walrus")));
    })`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "-e", script], {
      timeout: 60_000,
    });
    expect(stdout.trim()).to.equal(`0x${Buffer.from(helloId, "base64url").toString("hex")}`);
  });
});
