import { fromHex, putUint, putWord, toHex } from "../receipts/bytes.ts";
import { keccak256, keccakBytes } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import type { PaymentAuthorization } from "./payment.ts";
import { PERMIT2 } from "./permit2.ts";

/** What an EIP-712 domain of a token is made of. */
export interface TokenDomain {
  name: string;
  version: string;
  chainId: bigint;
  verifyingContract: Hex;
}

const hashText = (text: string): Uint8Array => keccakBytes(Buffer.from(text, "utf8"));

const TRANSFER_TYPE =
  "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";
const TOKEN_PERMISSIONS = "TokenPermissions(address token,uint256 amount)";
const PERMIT_TYPE =
  "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Witness witness)";
const EXACT_WITNESS = "Witness(address to,uint256 validAfter)";
const UPTO_WITNESS = "Witness(address to,address facilitator,uint256 validAfter)";

/** A preimage with its type hash in place and room for `words` more; those are overwritten at every use. */
function preimage(type: string, words: number): Buffer {
  const buffer = Buffer.alloc(32 * (words + 1));
  buffer.set(hashText(type));
  return buffer;
}

const transfer = preimage(TRANSFER_TYPE, 6);
const permissions = preimage(TOKEN_PERMISSIONS, 2);
const exactWitness = preimage(EXACT_WITNESS, 2);
const uptoWitness = preimage(UPTO_WITNESS, 3);
const exactPermit = preimage(PERMIT_TYPE + TOKEN_PERMISSIONS + EXACT_WITNESS, 5);
const uptoPermit = preimage(PERMIT_TYPE + TOKEN_PERMISSIONS + UPTO_WITNESS, 5);
const outer = Buffer.alloc(66);
outer.set([0x19, 0x01]);

function digest(domainSeparator: Hex, structHash: Uint8Array): Hex {
  outer.set(fromHex(domainSeparator, 32), 2);
  outer.set(structHash, 34);
  return keccak256(outer);
}

/** Integers above this do not occur in honest payments; they are not encoded here. */
export const MAX_AMOUNT = (1n << 128n) - 1n;

/**
 * What the payer of an ERC-3009 payment signs.
 * @throws EncodingError when an amount or a time is above `MAX_AMOUNT`.
 */
export function transferDigest(domainSeparator: Hex, authorization: PaymentAuthorization): Hex {
  const { payer, payTo, valueWei, validAfter, validBefore, nonce } = authorization;
  putWord(transfer, 32, payer, 20);
  putWord(transfer, 64, payTo, 20);
  putUint(transfer, 96, valueWei, 128);
  putUint(transfer, 128, validAfter, 128);
  putUint(transfer, 160, validBefore, 128);
  putWord(transfer, 192, nonce, 32);
  return digest(domainSeparator, keccakBytes(transfer));
}

/**
 * What the payer of a Permit2 payment signs.
 * @param domainSeparator Permit2's.
 * @throws EncodingError when an amount or a time is above `MAX_AMOUNT`.
 */
export function permitDigest(domainSeparator: Hex, authorization: PaymentAuthorization & { spender: Hex }): Hex {
  const { asset, valueWei, spender, nonce, validBefore, facilitator } = authorization;
  putWord(permissions, 32, asset, 20);
  putUint(permissions, 64, valueWei, 128);
  const permit = facilitator === undefined ? exactPermit : uptoPermit;
  permit.set(keccakBytes(permissions), 32);
  putWord(permit, 64, spender, 20);
  putWord(permit, 96, nonce, 32);
  putUint(permit, 128, validBefore, 128);
  permit.set(witnessHash(authorization), 160);
  return digest(domainSeparator, keccakBytes(permit));
}

function witnessHash({ payTo, facilitator, validAfter }: PaymentAuthorization): Uint8Array {
  if (facilitator === undefined) {
    putWord(exactWitness, 32, payTo, 20);
    putUint(exactWitness, 64, validAfter, 128);
    return keccakBytes(exactWitness);
  }
  putWord(uptoWitness, 32, payTo, 20);
  putWord(uptoWitness, 64, facilitator, 20);
  putUint(uptoWitness, 96, validAfter, 128);
  return keccakBytes(uptoWitness);
}

/** EIP-712 domain separator of a token. */
export function tokenDomainSeparator({ name, version, chainId, verifyingContract }: TokenDomain): Hex {
  const words = preimage("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)", 4);
  words.set(hashText(name), 32);
  words.set(hashText(version), 64);
  putUint(words, 96, chainId, 128);
  putWord(words, 128, verifyingContract, 20);
  return toHex(keccakBytes(words));
}

/** Permit2's; it has no version. */
export function permit2DomainSeparator(chainId: bigint): Hex {
  const words = preimage("EIP712Domain(string name,uint256 chainId,address verifyingContract)", 3);
  words.set(hashText("Permit2"), 32);
  putUint(words, 64, chainId, 128);
  putWord(words, 96, PERMIT2, 20);
  return toHex(keccakBytes(words));
}
