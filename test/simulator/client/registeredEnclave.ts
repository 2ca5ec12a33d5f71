import { AWS_ROOT, type RegisteredEnclave } from "../../../simulator/client/EnclavePolicy.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { Enclave, type EnclaveOptions } from "../../../simulator/enclave/Enclave.ts";
import { measureCode, pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { TEST_ROOT_DER, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";

export const TEST_ROOT = keccak256(TEST_ROOT_DER);

export const startEnclave = (options: Partial<EnclaveOptions> & { application?: string } = {}): Promise<Enclave> => {
  const { application = "llm-proxy", ...others } = options;
  return Enclave.start({
    authorities: new CertificateChain(testRoot()),
    // the folder of the tests' helpers is enough: what is measured does not matter here, that it differs does
    measurements: measureCode({ application, directories: ["test/support"] }),
    ...others,
  });
};

/** An enclave as a registry would show it, without one. */
export const registered = (
  { teeId, signer, publicKeyDer, tlsCertificateDer, sealingPublicKey, measurements }: Enclave,
  changes: Partial<RegisteredEnclave> = {},
): RegisteredEnclave => {
  const now = Math.floor(Date.now() / 1000);
  return {
    teeId,
    key: signer.address,
    operator: `0x${"0e".repeat(20)}`,
    payout: `0x${"0f".repeat(20)}`,
    endpoint: "https://127.0.0.1:443",
    signingKey: publicKeyDer,
    tlsCertificate: tlsCertificateDer,
    sealingKey: sealingPublicKey,
    pcrHash: pcrHashOf(measurements),
    attestedAt: now - 60,
    liveUntil: now + 3_600,
    heartbeatAt: now - 60,
    root: AWS_ROOT,
    verifierInUse: true,
    ...changes,
  };
};
