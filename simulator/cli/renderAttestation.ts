import { readPublicKeyField, readUserDataField } from "../enclave/boundKeys.ts";
import type { VerifiedDocument } from "../enclave/verifyDocument.ts";
import { toHex } from "../receipts/bytes.ts";
import { addressOfPublicKey } from "../receipts/secp256k1.ts";

/** What a verified document proves, for people. */
export function renderAttestation(verified: VerifiedDocument, context: { checked: string; root: string }): string {
  const { moduleId, timestamp, pcrs, pcrHash, debug, certificates, nonce, validUntil } = verified;
  const until = new Date(validUntil * 1000).toISOString();
  const rows: (readonly [string, string])[] = [
    ["root", context.root],
    ["module", moduleId],
    ["made", new Date(timestamp).toISOString()],
    ["checked for", context.checked],
    ["certificates", `${certificates.length}, the first to end at ${until}`],
    ...[0, 1, 2].map((index) => [`PCR${index}`, pcrs.get(index)!.toString("hex")] as const),
    ["PCR hash", pcrHash],
    ...boundRows(verified),
    ["nonce", nonce ? nonce.toString("hex") : "none"],
  ];
  const title = debug
    ? "The document is genuine, but its enclave is in DEBUG MODE: it proves nothing about what runs."
    : "The document is genuine.";
  return [title, "", ...rows.map(([name, value]) => `${name.padEnd(16)} ${value}`)].join("\n");
}

function boundRows({ publicKey, userData }: VerifiedDocument): (readonly [string, string])[] {
  const [keys, hashes] = [readPublicKeyField(publicKey), readUserDataField(userData)];
  return [
    ...(keys
      ? ([
          ["receipt signer", addressOfPublicKey(keys.receiptKey)],
          ["sealing key", keys.sealingKey.toString("hex")],
        ] as const)
      : [["public key", shown(publicKey)] as const]),
    ...(hashes
      ? ([
          ["TLS certificate", `SHA-256 ${hashes.tlsCertificateHash.toString("hex")}`],
          ["signing key", `SHA-256 ${hashes.signingKeyHash.toString("hex")}`],
        ] as const)
      : [["user data", shown(userData)] as const]),
  ];
}

function shown(bytes: Buffer | undefined): string {
  if (!bytes) return "none";
  const text = bytes.toString("latin1");
  return /^[ -~]+$/.test(text) ? `${bytes.toString("hex")} ("${text}")` : bytes.toString("hex");
}

/** What a verified document proves, as JSON: bytes as 0x-prefixed hexadecimal, times in the units of their names. */
export function summaryOfAttestation(verified: VerifiedDocument) {
  const hex = (bytes: Buffer | undefined) => (bytes ? toHex(bytes) : null);
  return {
    verified: true,
    rootFingerprint: verified.rootFingerprint,
    moduleId: verified.moduleId,
    timestampMs: verified.timestamp,
    validUntilSeconds: verified.validUntil,
    debug: verified.debug,
    pcrs: Object.fromEntries([...verified.pcrs].map(([index, pcr]) => [index, toHex(pcr)])),
    pcrHash: verified.pcrHash,
    publicKey: hex(verified.publicKey),
    userData: hex(verified.userData),
    nonce: hex(verified.nonce),
    certificates: verified.certificates.map(({ der: _der, ...fields }) => fields),
  };
}
