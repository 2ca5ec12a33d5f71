import { createRequire } from "node:module";
import { randomBytes } from "node:crypto";
import { Signature, SigningKey } from "ethers";
import { fromHex, toHex } from "./bytes.ts";
import { keccakBytes } from "./keccak.ts";
import type { Hex } from "./types.ts";

interface Curve {
  readonly kind: "native" | "ethers";
  /** @returns the 65-byte public key; throws when there is none. */
  recover(rs: Uint8Array, recoveryId: number, digest: Uint8Array): Uint8Array;
  /** @returns r ‖ s with the low s, and the recovery id. */
  sign(digest: Uint8Array, key: Uint8Array): { rs: Uint8Array; recoveryId: number };
  publicKey(key: Uint8Array): Uint8Array;
}

/** The part of npm `secp256k1` that is used here; it ships no types. */
interface NativeBindings {
  ecdsaRecover(signature: Uint8Array, recid: number, message: Uint8Array, compressed: boolean): Uint8Array;
  ecdsaSign(message: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recid: number };
  publicKeyCreate(privateKey: Uint8Array, compressed: boolean): Uint8Array;
}

/** libsecp256k1 by Node-API. `/bindings` throws where no prebuild fits; the package's main entry would fall back silently. */
function nativeCurve(): Curve {
  const bindings = createRequire(import.meta.url)("secp256k1/bindings.js") as NativeBindings;
  return {
    kind: "native",
    recover: (rs, recoveryId, digest) => bindings.ecdsaRecover(rs, recoveryId, digest, false),
    sign: (digest, key) => {
      const { signature, recid } = bindings.ecdsaSign(digest, key);
      return { rs: signature, recoveryId: recid };
    },
    publicKey: (key) => bindings.publicKeyCreate(key, false),
  };
}

/** The same in JavaScript, some 25 times slower. */
export function ethersCurve(): Curve {
  return {
    kind: "ethers",
    recover: (rs, recoveryId, digest) => {
      const signature = Signature.from({
        r: toHex(rs.subarray(0, 32)),
        s: toHex(rs.subarray(32)),
        yParity: recoveryId as 0 | 1,
      });
      return fromHex(SigningKey.recoverPublicKey(digest, signature));
    },
    sign: (digest, key) => {
      const { r, s, yParity } = new SigningKey(key).sign(digest);
      return { rs: Buffer.concat([fromHex(r), fromHex(s)]), recoveryId: yParity };
    },
    publicKey: (key) => fromHex(new SigningKey(key).publicKey),
  };
}

function loadCurve(): Curve {
  try {
    return nativeCurve();
  } catch {
    return ethersCurve();
  }
}

const curve = loadCurve();

/** Which implementation this process uses. */
export const curveKind: Curve["kind"] = curve.kind;

const HALF_ORDER = Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex");

/**
 * The signer of an EIP-2098 compact signature (64 bytes `r ‖ vs`), or undefined when it is a canonical signature of nobody.
 * As strict as the contracts' ReceiptLib: a high s is refused, because what is accepted here must not fail on chain.
 * @param digest 32 bytes.
 */
export function recoverAddress(digest: Hex, signature: Hex, impl: Curve = curve): Hex | undefined {
  const rs = Buffer.from(signature.slice(2), "hex");
  if (signature.length !== 130 || rs.length !== 64) return undefined;
  const recoveryId = rs[32]! >> 7;
  rs[32]! &= 0x7f;
  if (rs.compare(HALF_ORDER, 0, 32, 32, 64) > 0) return undefined;
  try {
    return addressOfPublicKey(impl.recover(rs, recoveryId, fromHex(digest, 32)));
  } catch {
    return undefined;
  }
}

/** @returns 64 bytes `r ‖ vs`, deterministic (RFC 6979). */
export function signDigest(digest: Hex, privateKey: Hex, impl: Curve = curve): Hex {
  const { rs, recoveryId } = impl.sign(fromHex(digest, 32), fromHex(privateKey, 32));
  const compact = Buffer.from(rs);
  compact[32]! |= recoveryId << 7;
  return toHex(compact);
}

/** Uncompressed, 65 bytes. */
export const publicKeyOf = (privateKey: Hex, impl: Curve = curve): Buffer =>
  Buffer.from(impl.publicKey(fromHex(privateKey, 32)));

/** Lower-case address of a private key. */
export const addressOfKey = (privateKey: Hex, impl: Curve = curve): Hex =>
  addressOfPublicKey(publicKeyOf(privateKey, impl));

/** Lower-case address of an uncompressed public key, 65 bytes. */
export const addressOfPublicKey = (publicKey: Uint8Array): Hex =>
  toHex(keccakBytes(publicKey.subarray(1)).subarray(12));

/** Somebody who signs digests: a node's receipt key or a verifier's voting key. */
export interface Signer {
  readonly address: Hex;
  /** @returns 64 bytes `r ‖ vs` over a 32-byte digest. */
  sign(digest: Hex): Hex;
}

/** A signer with its key in memory. */
export function signerFromKey(privateKey: Hex): Signer {
  return { address: addressOfKey(privateKey), sign: (digest) => signDigest(digest, privateKey) };
}

/** 32 random bytes; a value that is no valid key has probability 2^-128. */
export const randomKey = (): Hex => toHex(randomBytes(32));
