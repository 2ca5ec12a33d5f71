import { createPublicKey, X509Certificate } from "node:crypto";
import { keccak256 } from "../receipts/keccak.ts";
import { EnclaveError, type EnclaveCode } from "./EnclaveError.ts";
import { AWS_ROOT, DEFAULT_POLICY, type EnclavePolicy, type RegisteredEnclave } from "./EnclavePolicy.ts";
import { parseEndpoint } from "./pinnedFetch.ts";

/**
 * Checks a registry's entry: that it is whole, live and within the policy.
 * @param nowSeconds unix seconds.
 * @throws EnclaveError
 */
export function checkEnclave(enclave: RegisteredEnclave, policy: EnclavePolicy, nowSeconds: number): void {
  const { pcrHashes, allowTestRoot, maxHeartbeatAgeSeconds, allowPlainLoopback, clockToleranceSeconds } = {
    ...DEFAULT_POLICY,
    ...policy,
  };
  const { teeId, key, root, pcrHash, signingKey, tlsCertificate, sealingKey, endpoint } = enclave;
  const { attestedAt, liveUntil, heartbeatAt, verifierInUse } = enclave;
  const require = (ok: boolean, code: EnclaveCode, message: string): void => {
    if (!ok) throw new EnclaveError(code, `Enclave ${teeId}: ${message}`);
  };

  parseEndpoint(endpoint, allowPlainLoopback);
  const named = keccak256(signingKey);
  require(named === teeId, "registry_mismatch", `its RSA key is that of ${named}`);
  require(BigInt(key) !== 0n, "registry_mismatch", "it has no key to sign receipts with");
  require(isRsaKey(signingKey), "registry_mismatch", "its signing key is no RSA key of 2,048 bits or more");
  require(isCertificate(tlsCertificate), "registry_mismatch", "its TLS certificate cannot be read");
  require(sealingKey.length === 32 && sealingKey.some((byte) => byte !== 0), "no_sealing_key", "it has no X25519 key");

  const listed = pcrHashes === undefined || pcrHashes.some((allowed) => allowed.toLowerCase() === pcrHash);
  require(listed, "unknown_image", `its image ${pcrHash} is none of those allowed`);
  require(verifierInUse, "verifier_removed", "the verifier of its attestation is no longer in use");
  require(allowTestRoot || root === AWS_ROOT, "test_root", `the root ${root} that vouches for it is not AWS's`);

  const live = attestedAt <= nowSeconds + clockToleranceSeconds && nowSeconds < liveUntil;
  require(live, "not_live", `its attestation holds from ${attestedAt} to ${liveUntil}, and it is ${nowSeconds}`);
  const age = nowSeconds - heartbeatAt;
  require(age <= maxHeartbeatAgeSeconds &&
    age >=
      -clockToleranceSeconds, "stale_heartbeat", `its last heartbeat was ${age} s ago, where ${maxHeartbeatAgeSeconds} are allowed`);
}

function isRsaKey(der: Buffer): boolean {
  try {
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    return key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2_048;
  } catch {
    return false;
  }
}

function isCertificate(der: Buffer): boolean {
  try {
    return new X509Certificate(der).raw.equals(der);
  } catch {
    return false;
  }
}
