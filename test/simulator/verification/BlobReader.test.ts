import { expect } from "chai";

import type { Hex } from "../../../simulator/receipts/types.ts";
import type { BlobStore } from "../../../simulator/storage/BlobStore.ts";
import { BlobReader, BlobUnavailableError } from "../../../simulator/verification/BlobReader.ts";

const id: Hex = `0x${"11".repeat(32)}`;
const content = Buffer.from("content");

/** A store that answers the n-th try as told. */
function scripted(answer: (attempt: number) => Promise<Uint8Array>): BlobStore & { tries: number } {
  return {
    tries: 0,
    get() {
      return answer(++this.tries);
    },
    put: () => Promise.reject(new Error("not used")),
    has: () => Promise.reject(new Error("not used")),
  };
}

const failureOf = async (reader: BlobReader): Promise<BlobUnavailableError> => {
  const error: unknown = await reader.read(id).catch((caught: unknown) => caught);
  if (!(error instanceof BlobUnavailableError)) throw error;
  return error;
};

describe("BlobReader", () => {
  it("tries again, and gives up after its attempts", async () => {
    const failing = scripted((attempt) => (attempt < 3 ? Promise.reject(new Error("away")) : Promise.resolve(content)));
    expect(await new BlobReader({ blobs: failing, retryDelayMs: 1 }).read(id)).to.equal(content);
    const dead = scripted(() => Promise.reject(new Error("away")));
    const { cause } = await failureOf(new BlobReader({ blobs: dead, attempts: 2, retryDelayMs: 1 }));
    expect(cause).to.include({ message: "away" });
    expect(dead.tries).to.equal(2);
  });

  it("does not wait for a store that never answers", async () => {
    const hanging = scripted((attempt) => (attempt < 3 ? new Promise(() => undefined) : Promise.resolve(content)));
    const { cause } = await failureOf(new BlobReader({ blobs: hanging, attempts: 1, timeoutMs: 5 }));
    expect(String(cause)).to.include("within 5 ms");
    expect(await new BlobReader({ blobs: hanging, timeoutMs: 5, retryDelayMs: 1 }).read(id)).to.equal(content);
  });

  it("verifiers that read at the same time share one read", async () => {
    const slow = scripted(() => new Promise((resolve) => setImmediate(() => resolve(content))));
    const readers = [1, 2, 3, 4].map(() => new BlobReader({ blobs: slow }));
    expect(await Promise.all(readers.map((reader) => reader.read(id)))).to.deep.equal(Array(4).fill(content));
    expect(slow.tries).to.equal(1);
    await readers[0]!.read(id);
    expect(slow.tries, "nothing is kept").to.equal(2);
  });
});
