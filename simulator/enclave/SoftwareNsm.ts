import { createHash, randomBytes } from "node:crypto";

import { attestationPayload } from "./attestationDocument.ts";
import { type Certificate, issueCertificate } from "./certificate.ts";
import { type CertificateAuthorities, covers } from "./CertificateChain.ts";
import { leafSpec, moduleIdOf } from "./certificateProfiles.ts";
import { coseSign1 } from "./coseSign1.ts";

/** Unix milliseconds: `Date.now`, or the time of a chain. */
export type Clock = () => number;

/** The errors of the Nitro Secure Module API, by its names. */
export type NsmErrorCode = "InvalidArgument" | "InvalidIndex" | "ReadOnlyIndex" | "InputTooLarge";

export class NsmError extends Error {
  override readonly name = "NsmError";
  readonly code: NsmErrorCode;

  constructor(code: NsmErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** SHA-384 measurements of what runs: the whole image, its boot part, its applications. */
export interface Measurements {
  pcr0: Buffer;
  pcr1: Buffer;
  pcr2: Buffer;
}

export interface NsmOptions {
  authorities: CertificateAuthorities;
  measurements: Measurements;
  clock?: Clock;
  /** A debug-mode enclave: its console can be read, so it is measured as zeros. */
  debug?: boolean;
  /** ARN of the instance's role, measured into PCR3; zeros without one. */
  roleArn?: string;
}

/** What an enclave may have bound into a document. */
export interface AttestationRequest {
  /** 1 to 1,024 bytes. */
  publicKey?: Uint8Array;
  /** At most 512 bytes. */
  userData?: Uint8Array;
  /** At most 512 bytes. */
  nonce?: Uint8Array;
}

export interface NsmDescription {
  moduleId: string;
  digest: "SHA384";
  maxPcrs: number;
  /** Ascending. */
  lockedPcrs: readonly number[];
}

export const PCR_LENGTH = 48;
const MAX_PCRS = 32;
/** Measured before the enclave runs, and locked. */
const BOOT_PCRS = 16;
const MAX_PUBLIC_KEY = 1024;
const MAX_USER_DATA = 512;
const MAX_NONCE = 512;

/** A leaf certificate is replaced when it has less than this left, seconds, so that every document is good for that long. */
const LEAF_RESERVE = 3600;

/** AWS's rule for measuring: SHA-384 of the register and the data. */
export const extended = (register: Uint8Array, data: Uint8Array): Buffer =>
  createHash("sha384").update(register).update(data).digest();

/** The register after one measurement, from zero. */
export const measured = (data: Uint8Array): Buffer => extended(Buffer.alloc(PCR_LENGTH), data);

/** A Nitro Secure Module in software: emits documents exactly as AWS's, under a root that is not AWS's. */
export class SoftwareNsm {
  readonly moduleId: string;
  readonly #authorities: CertificateAuthorities;
  readonly #clock: Clock;
  readonly #enclaveId: Buffer;
  readonly #registers: Buffer[] = Array.from({ length: MAX_PCRS }, () => Buffer.alloc(PCR_LENGTH));
  readonly #locked = new Set(Array.from({ length: BOOT_PCRS }, (_, index) => index));
  #leaf: Certificate | undefined;
  #issuer: Certificate | undefined;

  constructor({ authorities, measurements, clock = Date.now, debug = false, roleArn }: NsmOptions) {
    this.#authorities = authorities;
    this.#clock = clock;
    this.#enclaveId = newEnclaveId(clock());
    this.moduleId = moduleIdOf(authorities.place, this.#enclaveId);
    if (!debug)
      [measurements.pcr0, measurements.pcr1, measurements.pcr2].forEach((pcr, index) => this.#set(index, pcr));
    if (roleArn !== undefined) this.#set(3, measured(Buffer.from(roleArn, "utf8")));
    this.#set(4, measured(Buffer.from(authorities.place.instanceId, "utf8")));
  }

  describe(): NsmDescription {
    return { moduleId: this.moduleId, digest: "SHA384", maxPcrs: MAX_PCRS, lockedPcrs: this.#lockedPcrs() };
  }

  describePcr(index: number): { locked: boolean; data: Buffer } {
    return { locked: this.#locked.has(index), data: Buffer.from(this.#register(index)) };
  }

  /** Measures data into an unlocked register. @returns its new value. @throws NsmError */
  extendPcr(index: number, data: Uint8Array): Buffer {
    const value = extended(this.#register(index), data);
    this.#requireUnlocked(index);
    this.#registers[index] = value;
    return Buffer.from(value);
  }

  /** Makes a register final, and part of every document from now on. @throws NsmError */
  lockPcr(index: number): void {
    this.#register(index);
    this.#requireUnlocked(index);
    this.#locked.add(index);
  }

  /** A signed document, CBOR of an untagged COSE_Sign1. @throws NsmError */
  attest({ publicKey, userData, nonce }: AttestationRequest = {}): Buffer {
    if (publicKey?.byteLength === 0) throw new NsmError("InvalidArgument", "Expected a public key of at least 1 byte");
    requireAtMost("public key", publicKey, MAX_PUBLIC_KEY);
    requireAtMost("user data", userData, MAX_USER_DATA);
    requireAtMost("nonce", nonce, MAX_NONCE);
    const timestamp = this.#clock();
    const { leaf, bundle } = this.#certificatesAt(Math.floor(timestamp / 1000));
    const payload = attestationPayload({
      moduleId: this.moduleId,
      timestamp,
      pcrs: new Map(this.#lockedPcrs().map((index) => [index, this.#register(index)])),
      certificate: leaf.der,
      cabundle: bundle.map(({ der }) => der),
      publicKey,
      userData,
      nonce,
    });
    return coseSign1(payload, leaf.keys.privateKey);
  }

  #certificatesAt(now: number): { leaf: Certificate; bundle: readonly Certificate[] } {
    const bundle = this.#authorities.at(now);
    const issuer = bundle.at(-1)!;
    if (!this.#leaf || this.#issuer !== issuer || !covers(this.#leaf, now, LEAF_RESERVE)) {
      this.#issuer = issuer;
      this.#leaf = issueCertificate(leafSpec(issuer, this.#authorities.place, this.#enclaveId, now));
    }
    return { leaf: this.#leaf, bundle };
  }

  #lockedPcrs(): number[] {
    return [...this.#locked].sort((a, b) => a - b);
  }

  #register(index: number): Buffer {
    const register = this.#registers[index];
    if (!register) throw new NsmError("InvalidIndex", `Expected a PCR from 0 to ${MAX_PCRS - 1}, found ${index}`);
    return register;
  }

  #requireUnlocked(index: number): void {
    if (this.#locked.has(index)) throw new NsmError("ReadOnlyIndex", `PCR${index} is locked`);
  }

  #set(index: number, value: Buffer): void {
    if (value.length !== PCR_LENGTH) {
      throw new NsmError("InvalidArgument", `Expected a measurement of ${PCR_LENGTH} bytes, found ${value.length}`);
    }
    this.#registers[index] = Buffer.from(value);
  }
}

/** 48 bits of milliseconds and 16 random ones, as in AWS's documents. */
function newEnclaveId(timestamp: number): Buffer {
  const id = randomBytes(8);
  id.writeUIntBE(timestamp, 0, 6);
  return id;
}

function requireAtMost(what: string, value: Uint8Array | undefined, limit: number): void {
  if (value && value.byteLength > limit) {
    throw new NsmError("InputTooLarge", `Expected a ${what} of at most ${limit} bytes, found ${value.byteLength}`);
  }
}
