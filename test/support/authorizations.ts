import { ethers, type Signature, type Signer } from "ethers";

import type { OPG } from "../../typechain-types/index.ts";
import { domainOf } from "./protocol.ts";

/** An ERC-3009 authorization; times in unix seconds, both exclusive. */
export interface Authorization {
  from: string;
  to: string;
  value: bigint;
  validAfter: bigint;
  validBefore: bigint;
  nonce: string;
}

const AUTHORIZATION_FIELDS = [
  { name: "from", type: "address" },
  { name: "to", type: "address" },
  { name: "value", type: "uint256" },
  { name: "validAfter", type: "uint256" },
  { name: "validBefore", type: "uint256" },
  { name: "nonce", type: "bytes32" },
];

/** ERC-3009's three structs, as ethers' TypedDataEncoder takes them. */
export const ERC3009_TYPES = {
  TransferWithAuthorization: AUTHORIZATION_FIELDS,
  ReceiveWithAuthorization: AUTHORIZATION_FIELDS,
  CancelAuthorization: [
    { name: "authorizer", type: "address" },
    { name: "nonce", type: "bytes32" },
  ],
};

/** EIP-2612's struct. */
export const PERMIT_TYPES = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
};

/** A 32-byte nonce, the same for the same label. */
export const nonceOf = (label: string): string => ethers.id(`nonce ${label}`);

/** An authorization that is valid at any time. */
export async function authorize(
  from: Signer,
  to: ethers.Addressable | string,
  value: bigint,
  nonce: string,
): Promise<Authorization> {
  return {
    from: await from.getAddress(),
    to: await ethers.resolveAddress(to),
    value,
    validAfter: 0n,
    validBefore: 2n ** 40n,
    nonce,
  };
}

export async function signAuthorization(
  opg: OPG,
  signer: Signer,
  type: "TransferWithAuthorization" | "ReceiveWithAuthorization",
  authorization: Authorization,
): Promise<Signature> {
  const text = await signer.signTypedData(await domainOf(opg), { [type]: ERC3009_TYPES[type] }, authorization);
  return ethers.Signature.from(text);
}

/** Arguments of `transferWithAuthorization` and `receiveWithAuthorization`. */
export function authorizationArguments(
  a: Authorization,
  { v, r, s }: Pick<Signature, "v" | "r" | "s">,
): [string, string, bigint, bigint, bigint, string, number, string, string] {
  return [a.from, a.to, a.value, a.validAfter, a.validBefore, a.nonce, v, r, s];
}

const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** The other signature that recovers to the same key: (r, n − s) with the other parity. */
export function malleableTwin({ v, r, s }: Signature): { v: 27 | 28; r: string; s: string } {
  return { v: v === 27 ? 28 : 27, r, s: ethers.toBeHex(CURVE_ORDER - BigInt(s), 32) };
}
