import { constants, generateKeyPair, type KeyObject, sign, webcrypto } from "node:crypto";
import { promisify } from "node:util";

import { keccak256 } from "../receipts/keccak.ts";
import { publicKeyOf, randomKey, type Signer, signerFromKey } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import { publicKeyField, sha256, userDataField } from "./boundKeys.ts";
import type { EnclaveIdentity } from "./EnclaveIdentity.ts";
import { type AttestationRequest, type Clock, type Measurements, SoftwareNsm } from "./SoftwareNsm.ts";
import type { CertificateAuthorities } from "./CertificateChain.ts";
import { selfSignedTls, type TlsIdentity } from "./tlsCertificate.ts";

export interface EnclaveOptions {
  /** The host's certificates, which enclaves of one host share. */
  authorities: CertificateAuthorities;
  /** Of the code that runs: `measureCode`. */
  measurements: Measurements;
  /** Of the attestation documents; default: the system's. */
  clock?: Clock;
  /** Measured as zeros, which no registry takes. */
  debug?: boolean;
}

interface EnclaveKeys {
  signing: { publicKey: KeyObject; privateKey: KeyObject };
  receipt: Hex;
  sealing: webcrypto.CryptoKeyPair;
  /** 32 bytes. */
  sealingPublicKey: Buffer;
  tls: TlsIdentity;
}

/**
 * An enclave: keys that are made inside and never leave, and documents that bind them all to the code that was measured.
 * What is simulated is the isolation, and the hardware that vouches for it; everything else is as it would be in one.
 */
export class Enclave implements EnclaveIdentity {
  readonly teeId: Hex;
  readonly publicKeyDer: Buffer;
  readonly signer: Signer;
  /** X25519, 32 bytes: inputs are sealed to it. */
  readonly sealingPublicKey: Buffer;
  /** PCR0 to 2 as documents have them: zeros in debug mode. */
  readonly measurements: Measurements;
  readonly #keys: EnclaveKeys;
  readonly #nsm: SoftwareNsm;
  readonly #clock: Clock;
  readonly #bound: Required<Pick<AttestationRequest, "publicKey" | "userData">>;

  /** Boots an enclave: makes its keys. */
  static async start(options: EnclaveOptions): Promise<Enclave> {
    const [signing, sealing] = await Promise.all([
      promisify(generateKeyPair)("rsa", { modulusLength: 2048, publicExponent: 65537 }),
      webcrypto.subtle.generateKey("X25519", false, ["deriveBits"]),
    ]);
    if (!("publicKey" in sealing)) throw new TypeError("Expected X25519 to make a pair of keys");
    const sealingPublicKey = Buffer.from(await webcrypto.subtle.exportKey("raw", sealing.publicKey));
    return new Enclave(options, { signing, receipt: randomKey(), sealing, sealingPublicKey, tls: selfSignedTls() });
  }

  private constructor(
    { authorities, measurements, clock = Date.now, debug = false }: EnclaveOptions,
    keys: EnclaveKeys,
  ) {
    this.#keys = keys;
    this.#clock = clock;
    this.#nsm = new SoftwareNsm({ authorities, measurements, clock, debug });
    const pcr = (index: number): Buffer => this.#nsm.describePcr(index).data;
    this.measurements = { pcr0: pcr(0), pcr1: pcr(1), pcr2: pcr(2) };
    this.publicKeyDer = keys.signing.publicKey.export({ type: "spki", format: "der" });
    this.teeId = keccak256(this.publicKeyDer);
    this.signer = signerFromKey(keys.receipt);
    this.sealingPublicKey = keys.sealingPublicKey;
    this.#bound = {
      publicKey: publicKeyField({ receiptKey: publicKeyOf(keys.receipt), sealingKey: keys.sealingPublicKey }),
      userData: userDataField({
        tlsCertificateHash: sha256(keys.tls.certificateDer),
        signingKeyHash: sha256(this.publicKeyDer),
      }),
    };
  }

  /** Name of the enclave in its documents. */
  get moduleId(): string {
    return this.#nsm.moduleId;
  }

  /** The enclave's time, unix milliseconds. */
  now(): number {
    return this.#clock();
  }

  /** DER of the certificate that the enclave's TLS server shows; documents bind its SHA-256. */
  get tlsCertificateDer(): Buffer {
    return this.#keys.tls.certificateDer;
  }

  /** For the TLS server inside the enclave, PEM. A getter, so that no log of an enclave holds it. */
  get tls(): { key: string; cert: string } {
    const { key, cert } = this.#keys.tls;
    return { key, cert };
  }

  /** For opening what was sealed (HPKE's `recipientKey`). The private key is a handle: it cannot be exported. */
  get sealingKeyPair(): webcrypto.CryptoKeyPair {
    return this.#keys.sealing;
  }

  /** A document that binds every key of this enclave and the caller's nonce. @param nonce at most 512 bytes. @throws NsmError */
  attest(nonce?: Uint8Array): Buffer {
    return this.#nsm.attest(nonce ? { ...this.#bound, nonce } : this.#bound);
  }

  async signTeeMessage(hash: Uint8Array): Promise<Buffer> {
    if (hash.byteLength !== 32) throw new RangeError(`Expected a hash of 32 bytes, found ${hash.byteLength}`);
    return signAsync("sha256", hash, {
      key: this.#keys.signing.privateKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    });
  }
}

/** In the thread pool: an RSA signature takes too long for the thread that serves everybody. */
const signAsync = promisify(sign);
