import { createHash } from "node:crypto";

import { p384 } from "@noble/curves/nist.js";

import { certificateName } from "../../simulator/enclave/certificateName.ts";
import { type AttestationFields, attestationPayload } from "../../simulator/enclave/attestationDocument.ts";
import { array, bytes, map } from "../../simulator/enclave/cbor.ts";
import { ES384_HEADER, sigStructure } from "../../simulator/enclave/coseSign1.ts";
import { deployAttestation, GAS, ISSUED_AT, MEASURED, PLACE } from "../../test/support/attestation.ts";
import chain from "./attestationChain.json" with { type: "json" };
import type { GasMeter } from "./GasMeter.ts";

const CAS = chain.cas.map((der) => Buffer.from(der, "base64"));
const LEAF = Buffer.from(chain.leaf, "base64");

/** The leaf's key: a hash, like the test root's. */
const LEAF_KEY = createHash("sha384")
  .update("OpenGradient gas measurements: leaf key of the attestation chain, known to everybody")
  .digest();

/**
 * A document of the simulator's under a chain that `attestationChain.json` holds, issued at ISSUED_AT: the same bytes in every run,
 * because gas depends on them. So its signature's nonce is RFC 6979's.
 * @param fields what to put in instead of a usual request's 97, 68 and 32 bytes.
 */
export function sameDocument(fields: Partial<AttestationFields> = {}): Buffer {
  const payload = attestationPayload({
    moduleId: `${PLACE.instanceId}-enc0123456789abcdef`,
    timestamp: ISSUED_AT * 1_000,
    pcrs: new Map(Array.from({ length: 16 }, (_, index) => [index, MEASURED[index] ?? Buffer.alloc(48)])),
    certificate: LEAF,
    cabundle: CAS,
    publicKey: Buffer.alloc(97, 0x21),
    userData: Buffer.alloc(68, 0x22),
    nonce: Buffer.alloc(32, 0x23),
    ...fields,
  });
  const signature = p384.sign(sigStructure(ES384_HEADER, payload), LEAF_KEY, { lowS: false });
  return array(bytes(ES384_HEADER), map([]), bytes(payload), bytes(signature));
}

/** Every function of NitroAttestationVerifier, on a chain of its own whose clock is where the documents are valid. */
export async function measureAttestation(gas: GasMeter): Promise<void> {
  const staged = await deployAttestation();
  const stages: number[] = [];
  for (const [index, name] of ["regional CA", "zonal CA", "instance CA", "leaf"].entries()) {
    const der = CAS[index + 1] ?? LEAF;
    const sent = staged.verifier.stageCertificate(der, CAS[index]!, GAS);
    stages.push(await gas.measure(`NitroAttestationVerifier.stageCertificate (${name})`, sent));
  }
  gas.row("attest.stage", Math.max(...stages));
  await staged.connection.close();

  const { verifier, revoker, connection } = await deployAttestation();
  const document = sameDocument();
  const cold = await gas.measure(
    "NitroAttestationVerifier.verify (nothing remembered)",
    verifier.verify(document, GAS),
  );
  gas.row("attest.cold", cold);
  gas.row("attest.cached", await gas.measure("NitroAttestationVerifier.verify", verifier.verify(document, GAS)));

  await gas.measure("NitroAttestationVerifier.setRevoker", verifier.setRevoker(revoker));
  const { id } = await verifier.certificateOf(certificateName(LEAF));
  await gas.measure("NitroAttestationVerifier.revokeCertificate", verifier.connect(revoker).revokeCertificate(id));
  await gas.measure("NitroAttestationVerifier.transferOwnership", verifier.transferOwnership(revoker));
  await gas.measure("NitroAttestationVerifier.acceptOwnership", verifier.connect(revoker).acceptOwnership());
  await gas.measure("NitroAttestationVerifier.renounceOwnership", verifier.connect(revoker).renounceOwnership());
  await connection.close();
}
