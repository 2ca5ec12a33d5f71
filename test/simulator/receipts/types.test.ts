import { expect } from "chai";
import {
  batchHeaderSchema,
  batchHeaderToJson,
  signedReceiptSchema,
  signedReceiptToJson,
  type BatchHeader,
  type Hex,
  type SignedReceipt,
} from "../../../simulator/receipts/types.ts";

const word: Hex = `0x${"ab".repeat(32)}`;
const address: Hex = `0x${"cd".repeat(20)}`;
const signed: SignedReceipt = {
  receipt: {
    requestId: word,
    modelId: word,
    mode: 1,
    inputHash: word,
    outputHash: word,
    payer: address,
    fee: (1n << 96n) - 1n,
    servedAt: 1_800_000_000n,
  },
  signature: `0x${"12".repeat(64)}`,
};
const header: BatchHeader = {
  root: word,
  blobId: word,
  operator: address,
  count: 3,
  setId: 1,
  fees: 10n ** 20n,
  servedFrom: 1n,
  servedTo: 2n,
  seen: 2 ** 40 - 1,
  royaltiesHash: word,
};

describe("signedReceiptSchema", () => {
  it("is the inverse of signedReceiptToJson", () => {
    const text = JSON.stringify(signedReceiptToJson(signed));
    expect(signedReceiptSchema.parse(JSON.parse(text))).to.deep.equal(signed);
  });

  it("lowers hexadecimal, so that equal bytes are equal strings", () => {
    const json = { ...signedReceiptToJson(signed), payer: `0x${"CD".repeat(20)}` };
    expect(signedReceiptSchema.parse(json)).to.deep.equal(signed);
  });

  it("refuses other shapes", () => {
    const json = signedReceiptToJson(signed);
    for (const wrong of [
      { fee: "01" },
      { fee: "-1" },
      { fee: 1 },
      { fee: (1n << 96n).toString() },
      { mode: 3 },
      { servedAt: 1.5 },
      { servedAt: -1 },
      { payer: word },
      { signature: word },
      { requestId: word.slice(2) },
      { note: "unsigned" },
    ]) {
      expect(signedReceiptSchema.safeParse({ ...json, ...wrong }).success, JSON.stringify(wrong)).to.equal(false);
    }
  });
});

describe("batchHeaderSchema", () => {
  it("is the inverse of batchHeaderToJson", () => {
    const text = JSON.stringify(batchHeaderToJson(header));
    expect(batchHeaderSchema.parse(JSON.parse(text))).to.deep.equal(header);
  });

  it("refuses what does not fit its type on chain", () => {
    for (const wrong of [{ seen: 2 ** 40 }, { count: 2 ** 32 }, { setId: -1 }, { fees: "1e3" }]) {
      const json = { ...batchHeaderToJson(header), ...wrong };
      expect(batchHeaderSchema.safeParse(json).success, JSON.stringify(wrong)).to.equal(false);
    }
  });
});
