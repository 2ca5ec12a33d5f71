import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { addressOfKey, signDigest } from "../../../simulator/receipts/secp256k1.ts";
import { leafTotal, sumLeaf, SumTree, type SumNode } from "../../../simulator/receipts/sumTree.ts";
import {
  Mode,
  type BatchHeader,
  type Hex,
  type Receipt,
  type SignedReceipt,
} from "../../../simulator/receipts/types.ts";
import { encodeBatchBlob } from "../../../simulator/settlement/batchBlob.ts";
import { batchHeader, draftBatch } from "../../../simulator/settlement/buildBatch.ts";
import type { ModelTerms } from "../../../simulator/settlement/screenReceipts.ts";
import type { BatchViews } from "../../../simulator/verification/checkBatch.ts";

export const operator: Hex = `0x${"0b".repeat(20)}`;
export const modelId = keccak256("model");
export const nodeKey = keccak256("node key");
export const hasher = new SettlementHasher({ chainId: 31337n, verifyingContract: `0x${"5e".repeat(20)}` });
/** The node's key is valid from here, unix seconds. */
export const VALID_FROM = 1_000n;
export const VALID_UNTIL = 2_000n;
export const SERVED_AT = 1_500n;

const model: ModelTerms = { owner: `0x${"aa".repeat(20)}`, royaltyBps: 1_000, price: 10n, modes: 0b101 };

/** A registry with one key, which may sign VANILLA receipts, and one model. */
export const views: BatchViews = {
  operatorOf: (key, mode, servedAt) => {
    const isValid = mode === Mode.Vanilla && servedAt >= VALID_FROM && servedAt < VALID_UNTIL;
    return Promise.resolve(key === addressOfKey(nodeKey) && isValid ? operator : undefined);
  },
  models: () => Promise.resolve(new Map([[modelId, model]])),
};

export interface SampleOptions {
  size?: number;
  /** Fields of receipt `index`, before it is signed. */
  receipt?: (index: number) => Partial<Receipt>;
  key?: (index: number) => Hex | undefined;
  header?: Partial<BatchHeader>;
}

export interface Sample {
  header: BatchHeader;
  blob: Uint8Array;
  receipts: readonly SignedReceipt[];
}

export function signedReceipt(index: number, fields: Partial<Receipt> = {}, key = nodeKey): SignedReceipt {
  const receipt: Receipt = {
    requestId: keccak256(`request ${index}`),
    modelId,
    mode: Mode.Vanilla,
    inputHash: keccak256("input"),
    outputHash: keccak256("output"),
    payer: `0x${"0a".repeat(20)}`,
    fee: 100n + BigInt(index),
    servedAt: SERVED_AT,
    ...fields,
  };
  return { receipt, signature: signDigest(hasher.receiptDigest(receipt), key) };
}

/** What an operator posts; right, but for what the options change. */
export function sampleBatch({ size = 5, receipt, key, header }: SampleOptions = {}): Sample {
  const receipts = Array.from({ length: size }, (_, i) => signedReceipt(i, receipt?.(i), key?.(i)));
  const models = new Map(receipts.map(({ receipt: { modelId: id } }) => [id, model]));
  const draft = draftBatch({ domain: hasher.domain, operator, receipts, models });
  const honest = batchHeader(draft, { blobId: keccak256(draft.blob), setId: 1, seen: 0 });
  return { header: { ...honest, ...header }, blob: draft.blob, receipts: draft.receipts };
}

/** The same receipts under a tree with other totals; the header follows the tree. */
export function withTotals(
  { header, receipts }: Sample,
  { leaf, node }: { leaf?: (index: number) => bigint; node?: (level: number, index: number, node: SumNode) => SumNode },
): Pick<Sample, "header"> & { tree: SumTree } {
  const leaves = receipts.map((signed, i) => ({
    ...sumLeaf(signed),
    total: leafTotal(signed.receipt.fee) + (leaf?.(i) ?? 0n),
  }));
  const tree = new SumTree(leaves, node);
  const { hash, total } = tree.root;
  return { header: { ...header, root: hash, fees: total >> 32n, count: Number(total & 0xffffffffn) }, tree };
}

export const reencode = ({ receipts }: Sample, royalties: readonly bigint[]): Uint8Array =>
  encodeBatchBlob({ domain: hasher.domain, operator, receipts: [...receipts], royalties: [...royalties] });
