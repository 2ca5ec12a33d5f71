import { createHash } from "node:crypto";
import { expect } from "chai";
import { requestHash } from "../../../simulator/receipts/requestHash.ts";

const sha256 = (text: string): string => `0x${createHash("sha256").update(text).digest("hex")}`;
const body = Buffer.from('{"model":"m"}');

describe("requestHash", () => {
  it("requestHash_coversKindKeyAndBody", () => {
    expect(requestHash("chat", body)).to.equal(sha256('chat\n{"model":"m"}'));
    expect(requestHash("chat", body, "k-1")).to.equal(sha256('chat k-1\n{"model":"m"}'));
    const hashes = [
      requestHash("chat", body),
      requestHash("completion", body),
      requestHash("sealed", body),
      requestHash("chat", Buffer.from('{"model":"n"}')),
      requestHash("chat", body, "a"),
      requestHash("chat", body, "b"),
      requestHash("chat", body, ""),
    ];
    expect(new Set(hashes).size).to.equal(hashes.length);
  });
});
