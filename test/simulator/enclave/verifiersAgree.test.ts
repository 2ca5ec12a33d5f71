import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";

import { AttestationError } from "../../../simulator/enclave/AttestationError.ts";
import { attestationPayload } from "../../../simulator/enclave/attestationDocument.ts";
import { coseSign1 } from "../../../simulator/enclave/coseSign1.ts";
import { TEST_ROOT_DER, TEST_ROOT_FINGERPRINT } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument } from "../../../simulator/enclave/verifyDocument.ts";
import { factories, type NitroAttestationVerifier } from "../../../typechain-types/index.ts";
import { attestationAttacks } from "../../support/attestationAttacks.ts";
import { forgeChain, forgeFields } from "../../support/attestationForgery.ts";
import { freshState } from "../../support/freshState.ts";

const NOW = Date.UTC(2026, 10, 21, 12) / 1000;
const GAS = { gasLimit: 16_777_216 };

async function deployVerifier() {
  const connection = await network.create({ override: { initialDate: new Date((NOW - 600) * 1000).toISOString() } });
  const [owner] = (await connection.ethers.getSigners()) as [HardhatEthersSigner];
  const { P384Verifier__factory, Sha384__factory, NitroAttestationVerifier__factory } = factories.attestation;
  const p384 = await new P384Verifier__factory(owner).deploy();
  const sha384 = await new Sha384__factory(owner).deploy();
  const verifier = await new NitroAttestationVerifier__factory(owner).deploy(p384, sha384, TEST_ROOT_DER, owner, GAS);
  /** Has a document's certificates remembered, in a block of exactly the time that all is judged at. */
  const remember = async (document: Buffer): Promise<void> => {
    await connection.networkHelpers.time.setNextBlockTimestamp(NOW);
    await verifier.verify(document, GAS);
  };
  return { connection, verifier, remember };
}

function isTakenOffChain(document: Buffer): boolean {
  try {
    verifyDocument(document, { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NOW * 1000 });
    return true;
  } catch (error) {
    if (error instanceof AttestationError) return false;
    throw error;
  }
}

/** Any failure but a revert with one of the contract's own errors is the test's. */
async function isTakenOnChain(verifier: NitroAttestationVerifier, document: Buffer): Promise<boolean> {
  try {
    await verifier.verify.staticCall(document, GAS);
    return true;
  } catch (error) {
    const { data } = error as { data?: unknown };
    if (typeof data === "string" && verifier.interface.parseError(data)) return false;
    throw error;
  }
}

describe("the verifier off chain and the one on chain", function () {
  this.timeout(300_000);
  const state = freshState(deployVerifier);

  it("agree on every attack, and on what only looks like one", async () => {
    const { verifier, remember } = state();
    const attacks = attestationAttacks(NOW);
    // Most documents have the certificates of the first.
    await remember(attacks[0]!.document);
    for (const { name, document, refusedFor } of attacks) {
      const taken = refusedFor === undefined;
      expect(await isTakenOnChain(verifier, document), `${name}, on chain`).to.equal(taken);
      expect(isTakenOffChain(document), `${name}, off chain`).to.equal(taken);
    }
  });

  it("agree on signed payloads with any bit changed, but for certificates and the module's name", async () => {
    const { verifier, remember } = state();
    const chain = forgeChain(NOW);
    const fields = forgeFields(NOW, chain);
    const payload = attestationPayload(fields);
    await remember(coseSign1(payload, chain.leaf.keys.privateKey));
    const [name, first, last] = [fields.moduleId, fields.certificate, fields.cabundle.at(-1)!].map((part) =>
      payload.indexOf(part),
    ) as [number, number, number];
    // Off chain the name has to be UTF-8, which the contract has no use for.
    const bytes = [...payload.keys()].filter(
      (at) =>
        !(at >= name && at < name + fields.moduleId.length) &&
        !(at >= first && at < last + fields.cabundle.at(-1)!.length),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...bytes), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const changed = Buffer.from(payload);
        changed[at]! ^= 1 << bit;
        const document = coseSign1(changed, chain.leaf.keys.privateKey);
        expect(await isTakenOnChain(verifier, document)).to.equal(isTakenOffChain(document));
      }),
      { numRuns: 40 },
    );
  });
});
