import { randomBytes } from "node:crypto";
import { computeAddress } from "ethers";
import { AttestationError } from "../enclave/AttestationError.ts";
import { readBoundKeys, sha256, type BoundKeys } from "../enclave/boundKeys.ts";
import { readDocument } from "../enclave/readDocument.ts";
import { verifyDocument, type VerifiedDocument } from "../enclave/verifyDocument.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { BlobTooLargeError } from "../storage/BlobStore.ts";
import { readLimited } from "../storage/readLimited.ts";
import { EnclaveError, type EnclaveCode } from "./EnclaveError.ts";
import type { RegisteredEnclave } from "./EnclavePolicy.ts";

export interface FreshAttestationOptions {
  /** Whether an endpoint without documents (status 404) is refused. */
  required: boolean;
  /** Unix seconds. Default: this machine's clock. */
  nowSeconds?: () => number;
  /** How far the enclave's clock may be from this one. Default 300. */
  clockToleranceSeconds?: number;
  /** Default 10,000. */
  timeoutMs?: number;
}

const ROUTE = "/enclave/attestation";
const NONCE_BYTES = 32;
/** 16,384 bytes, the most a verifier on chain takes, as base64. */
const MAX_ANSWER_BYTES = 22_000;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Asks an enclave for an attestation document made for this question, and verifies it off chain: under the root that vouched for its registration, of the
 * registered image, and binding every registered key.
 * @param pinned a fetch that talks to the enclave's attested TLS key only.
 * @throws EnclaveError
 */
export async function checkFreshAttestation(
  enclave: RegisteredEnclave,
  pinned: typeof fetch,
  options: FreshAttestationOptions,
): Promise<void> {
  const { required, nowSeconds = systemSeconds, clockToleranceSeconds = 300, timeoutMs = 10_000 } = options;
  const nonce = randomBytes(NONCE_BYTES);
  const url = `${new URL(enclave.endpoint).origin}${ROUTE}?nonce=${nonce.toString("hex")}`;
  const signal = AbortSignal.timeout(timeoutMs);
  const document = await ask(enclave, pinned, url, signal);
  if (document === undefined) {
    if (!required) return;
    throw refusal(enclave, "attestation_missing", `${ROUTE} is not there`);
  }
  const verified = verifyUnderRoot(enclave, document, nonce);
  const ahead = Math.round(verified.timestamp / 1_000) - nowSeconds();
  if (Math.abs(ahead) > clockToleranceSeconds) {
    throw refusal(enclave, "attestation_invalid", `its clock is ${ahead} s ahead of this one`);
  }
  if (verified.pcrHash !== enclave.pcrHash) {
    throw refusal(
      enclave,
      "image_mismatch",
      `the image ${enclave.pcrHash} is registered, and ${verified.pcrHash} runs`,
    );
  }
  const keys = readBoundKeys(verified.publicKey, verified.userData);
  const differing = keys === undefined ? "keys" : differingKey(enclave, keys);
  if (differing !== undefined) {
    throw refusal(enclave, "key_mismatch", `the document does not bind the registered ${differing}`);
  }
}

/** @returns the document; undefined where there are none. */
async function ask(
  enclave: RegisteredEnclave,
  pinned: typeof fetch,
  url: string,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  let status: number;
  let text: string;
  try {
    const response = await pinned(url, { headers: { accept: "text/plain" }, signal });
    status = response.status;
    text = Buffer.from(await readLimited(response, MAX_ANSWER_BYTES))
      .toString("latin1")
      .trim();
  } catch (error) {
    if (error instanceof EnclaveError) throw error;
    if (error instanceof BlobTooLargeError) throw refusal(enclave, "attestation_invalid", error.message, error);
    throw refusal(enclave, "unreachable", `${ROUTE} was not answered: ${String(error)}`, error);
  }
  if (status === 404) return undefined;
  if (status !== 200) throw refusal(enclave, "attestation_missing", `${ROUTE} answers with status ${status}`);
  if (!BASE64.test(text)) throw refusal(enclave, "attestation_invalid", `${ROUTE} does not answer with base64`);
  return Buffer.from(text, "base64");
}

/** The registry names the root by another hash than the verifier off chain: it is in the document, first of its chain. */
function verifyUnderRoot(enclave: RegisteredEnclave, document: Buffer, nonce: Buffer): VerifiedDocument {
  try {
    const root = readDocument(document).payload.cabundle[0]!;
    const name = keccak256(root);
    if (name !== enclave.root) {
      throw refusal(enclave, "attestation_invalid", `the root ${enclave.root} vouched for it, and ${name} does now`);
    }
    return verifyDocument(document, {
      rootFingerprint: sha256(root).toString("hex"),
      nonce,
      // the nonce says that it is new; its certificates begin seconds before it, which clocks may differ by
      at: "document",
    });
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    const code = error.code === "wrong_nonce" ? "nonce_mismatch" : "attestation_invalid";
    throw refusal(enclave, code, error.message, error);
  }
}

/** Name of the first key that is not the registered one. */
function differingKey(
  { key, sealingKey, tlsCertificate, signingKey }: RegisteredEnclave,
  found: BoundKeys,
): string | undefined {
  if (addressOf(found.receiptKey) !== key) return "key of receipts";
  if (!found.sealingKey.equals(sealingKey)) return "key of sealed inputs";
  if (!found.tlsCertificateHash.equals(sha256(tlsCertificate))) return "TLS certificate";
  if (!found.signingKeyHash.equals(sha256(signingKey))) return "RSA key";
  return undefined;
}

function addressOf(publicKey: Buffer): string | undefined {
  try {
    return computeAddress(`0x${publicKey.toString("hex")}`).toLowerCase();
  } catch {
    // not a point of the curve
    return undefined;
  }
}

const refusal = ({ teeId }: RegisteredEnclave, code: EnclaveCode, why: string, cause?: unknown): EnclaveError =>
  new EnclaveError(code, `Enclave ${teeId}: ${why}`, { cause });

const systemSeconds = (): number => Math.floor(Date.now() / 1000);
