import { fromHex, putUint, putWord, toHex } from "./bytes.ts";
import { keccak256, keccakBytes } from "./keccak.ts";
import type { BatchHeader, Hex, Receipt, SettlementDomain } from "./types.ts";

export const DOMAIN_NAME = "OpenGradient";
export const DOMAIN_VERSION = "1";

interface TypedField {
  name: string;
  type: string;
}

/** Type tables as ethers' `signTypedData` and `TypedDataEncoder` take them. */
export const RECEIPT_TYPES: { InferenceReceipt: TypedField[] } = {
  InferenceReceipt: [
    { name: "requestId", type: "bytes32" },
    { name: "modelId", type: "bytes32" },
    { name: "mode", type: "uint8" },
    { name: "inputHash", type: "bytes32" },
    { name: "outputHash", type: "bytes32" },
    { name: "payer", type: "address" },
    { name: "fee", type: "uint96" },
    { name: "servedAt", type: "uint64" },
  ],
};

export const BATCH_TYPES: { Batch: TypedField[] } = {
  Batch: [
    { name: "root", type: "bytes32" },
    { name: "blobId", type: "bytes32" },
    { name: "operator", type: "address" },
    { name: "count", type: "uint32" },
    { name: "setId", type: "uint32" },
    { name: "fees", type: "uint96" },
    { name: "servedFrom", type: "uint64" },
    { name: "servedTo", type: "uint64" },
    { name: "seen", type: "uint40" },
    { name: "royaltiesHash", type: "bytes32" },
  ],
};

const typeText = (name: string, fields: TypedField[]): string =>
  `${name}(${fields.map((field) => `${field.type} ${field.name}`).join(",")})`;

/** A struct's preimage with its type hash in place; the words after it are overwritten on every use. */
function structPreimage(name: string, fields: TypedField[]): Buffer {
  const preimage = Buffer.alloc(32 * (fields.length + 1));
  preimage.set(keccakBytes(Buffer.from(typeText(name, fields))));
  return preimage;
}

const receiptPreimage = structPreimage("InferenceReceipt", RECEIPT_TYPES.InferenceReceipt);
const batchPreimage = structPreimage("Batch", BATCH_TYPES.Batch);

function receiptStruct(receipt: Receipt): Uint8Array {
  const words = receiptPreimage;
  putWord(words, 32, receipt.requestId, 32);
  putWord(words, 64, receipt.modelId, 32);
  putUint(words, 96, receipt.mode, 8);
  putWord(words, 128, receipt.inputHash, 32);
  putWord(words, 160, receipt.outputHash, 32);
  putWord(words, 192, receipt.payer, 20);
  putUint(words, 224, receipt.fee, 96);
  putUint(words, 256, receipt.servedAt, 64);
  return keccakBytes(words);
}

function batchStruct(header: BatchHeader): Uint8Array {
  const words = batchPreimage;
  putWord(words, 32, header.root, 32);
  putWord(words, 64, header.blobId, 32);
  putWord(words, 96, header.operator, 20);
  putUint(words, 128, header.count, 32);
  putUint(words, 160, header.setId, 32);
  putUint(words, 192, header.fees, 96);
  putUint(words, 224, header.servedFrom, 64);
  putUint(words, 256, header.servedTo, 64);
  putUint(words, 288, header.seen, 40);
  putWord(words, 320, header.royaltiesHash, 32);
  return keccakBytes(words);
}

/** `hashStruct(receipt)`, the part of a leaf that does not depend on the chain. */
export const receiptStructHash = (receipt: Receipt): Hex => toHex(receiptStruct(receipt));

export function domainSeparator(domain: SettlementDomain): Hex {
  const preimage = structPreimage("EIP712Domain", [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ]);
  preimage.set(keccakBytes(Buffer.from(DOMAIN_NAME)), 32);
  preimage.set(keccakBytes(Buffer.from(DOMAIN_VERSION)), 64);
  putUint(preimage, 96, domain.chainId, 128);
  putWord(preimage, 128, domain.verifyingContract, 20);
  return keccak256(preimage);
}

/** The digests signed under one ProofSettlement, with the domain hashed once. */
export class SettlementHasher {
  readonly domain: SettlementDomain;
  readonly domainSeparator: Hex;
  readonly #outer = Buffer.alloc(66);

  constructor(domain: SettlementDomain) {
    this.domain = domain;
    this.domainSeparator = domainSeparator(domain);
    this.#outer.set([0x19, 0x01]);
    this.#outer.set(fromHex(this.domainSeparator, 32), 2);
  }

  /** What an inference node signs. */
  receiptDigest(receipt: Receipt): Hex {
    return this.#finish(receiptStruct(receipt));
  }

  /** What verifiers sign; also the batch's id on chain. */
  batchDigest(header: BatchHeader): Hex {
    return this.#finish(batchStruct(header));
  }

  #finish(structHash: Uint8Array): Hex {
    this.#outer.set(structHash, 34);
    return keccak256(this.#outer);
  }
}
