import { hexlify } from "ethers";
import fc from "fast-check";

import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex, Mode, Receipt, SignedReceipt } from "../../../simulator/receipts/types.ts";

export const domain = { chainId: 31337n, verifyingContract: `0x${"5e".repeat(20)}` } as const;
export const hasher = new SettlementHasher(domain);
export const nodeSigner = signerFromKey(`0x${"46".repeat(32)}`);
export const operator: Hex = `0x${"0a".repeat(20)}`;

export const bytes32 = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, "0")}`;

export function signed(fields: Partial<Receipt> = {}, signer = nodeSigner): SignedReceipt {
  const receipt: Receipt = {
    requestId: bytes32(1),
    modelId: bytes32(2),
    mode: 0,
    inputHash: bytes32(3),
    outputHash: bytes32(4),
    payer: `0x${"0b".repeat(20)}`,
    fee: 1_000n,
    servedAt: 1_800_000_000n,
    ...fields,
  };
  return { receipt, signature: signer.sign(hasher.receiptDigest(receipt)) };
}

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => hexlify(value) as Hex);

/** Well-formed, not validly signed. */
export const anyReceipt: fc.Arbitrary<SignedReceipt> = fc.record({
  receipt: fc.record({
    requestId: hex(32),
    modelId: fc.integer({ min: 0, max: 3 }).map(bytes32),
    mode: fc.constantFrom<Mode>(0, 1, 2),
    inputHash: hex(32),
    outputHash: hex(32),
    payer: hex(20),
    fee: fc.bigInt({ min: 0n, max: 10n ** 24n }),
    servedAt: fc.bigInt({ min: 0n, max: 2n ** 40n }),
  }),
  signature: hex(64),
});

export const someReceipts = fc.array(anyReceipt, { minLength: 1, maxLength: 30 });
