import { expect } from "chai";
import { hexlify, randomBytes, TypedDataEncoder } from "ethers";
import fc from "fast-check";
import {
  BATCH_TYPES,
  domainSeparator,
  RECEIPT_TYPES,
  receiptStructHash,
  SettlementHasher,
} from "../../../simulator/receipts/eip712.ts";
import type { BatchHeader, Hex, Mode, Receipt } from "../../../simulator/receipts/types.ts";

const domain = { chainId: 31337n, verifyingContract: "0x5fbdb2315678afecb367f032d93f642f64180aa3" } as const;
const ethersDomain = { name: "OpenGradient", version: "1", ...domain };
const hasher = new SettlementHasher(domain);

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => hexlify(value) as Hex);
const uint = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });

const receipts: fc.Arbitrary<Receipt> = fc.record({
  requestId: hex(32),
  modelId: hex(32),
  mode: fc.constantFrom<Mode>(0, 1, 2),
  inputHash: hex(32),
  outputHash: hex(32),
  payer: hex(20),
  fee: uint(96),
  servedAt: uint(64),
});

const headers: fc.Arbitrary<BatchHeader> = fc.record({
  root: hex(32),
  blobId: hex(32),
  operator: hex(20),
  count: uint(32).map(Number),
  setId: uint(32).map(Number),
  fees: uint(96),
  servedFrom: uint(64),
  servedTo: uint(64),
  seen: uint(40).map(Number),
  royaltiesHash: hex(32),
});

describe("eip712", () => {
  it("domainSeparator is the one of ethers", () => {
    expect(domainSeparator(domain)).to.equal(TypedDataEncoder.hashDomain(ethersDomain));
  });

  it("receipt hashes are those of ethers", () => {
    fc.assert(
      fc.property(receipts, (receipt) => {
        expect(receiptStructHash(receipt)).to.equal(
          TypedDataEncoder.hashStruct("InferenceReceipt", RECEIPT_TYPES, receipt),
        );
        expect(hasher.receiptDigest(receipt)).to.equal(TypedDataEncoder.hash(ethersDomain, RECEIPT_TYPES, receipt));
      }),
    );
  });

  it("batch digests are those of ethers", () => {
    fc.assert(
      fc.property(headers, (header) => {
        expect(hasher.batchDigest(header)).to.equal(TypedDataEncoder.hash(ethersDomain, BATCH_TYPES, header));
      }),
    );
  });

  it("refuses what does not fit the type", () => {
    const bytes32 = hexlify(randomBytes(32)) as Hex;
    const receipt: Receipt = {
      requestId: bytes32,
      modelId: bytes32,
      mode: 0,
      inputHash: bytes32,
      outputHash: bytes32,
      payer: bytes32.slice(0, 42) as Hex,
      fee: 0n,
      servedAt: 0n,
    };
    const before = hasher.receiptDigest(receipt);
    const misfits: Partial<Receipt>[] = [
      { fee: 1n << 96n },
      { fee: -1n },
      { servedAt: 1n << 64n },
      { payer: bytes32 },
      { requestId: "0x12" },
      { inputHash: `0x${"zz".repeat(32)}` },
    ];
    for (const wrong of misfits) {
      expect(() => hasher.receiptDigest({ ...receipt, ...wrong }), JSON.stringify(Object.keys(wrong))).to.throw(
        "Expected",
      );
    }
    expect(hasher.receiptDigest(receipt), "a failed encoding leaves nothing behind").to.equal(before);
  });
});
