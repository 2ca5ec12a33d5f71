import { expect } from "chai";

import { certificateName } from "../../simulator/enclave/certificateName.ts";
import type { NitroAttestationVerifier } from "../../typechain-types/index.ts";
import {
  type AttestationStage,
  type ChainFaults,
  deployAttestation,
  documentOf,
  GAS,
  issueChain,
  type TestChain,
} from "./attestation.ts";
import { freshState } from "./freshState.ts";

const LEVELS = ["regional", "zonal", "instance", "leaf"] as const;

/** Operands of an error; functions are predicates. */
type Operands = readonly unknown[];

export interface ChainAttacks {
  /** A chain that is remembered. */
  genuine: TestChain;
  state: () => AttestationStage;
  /** Declares that a document is refused. */
  refusesDocument: (name: string, error: string, operands: Operands, document: () => Uint8Array) => void;
  /** Declares that a chain is refused: everything above its first fault is genuine, what is below is issued anew. */
  refuses: (
    name: string,
    faults: ChainFaults,
    error: string,
    operands?: Operands | ((chain: TestChain) => Operands),
  ) => void;
  accepts: (name: string, chain: TestChain) => void;
}

/** A verifier that remembers a genuine chain, and ways to attack it; to be called in a `describe`. */
export function chainAttacks(): ChainAttacks {
  const genuine = issueChain();
  const state = freshState(async () => {
    const stage = await deployAttestation();
    await stage.verifier.verify(documentOf(genuine), GAS);
    return stage;
  });
  const refusesDocument: ChainAttacks["refusesDocument"] = (name, error, operands, document) =>
    it(`${name}_reverts${error}`, () => expectRefusal(state().verifier, document(), error, operands));

  return {
    genuine,
    state,
    refusesDocument,
    refuses(name, faults, error, operands = []) {
      const level = LEVELS.findIndex((candidate) => faults[candidate] !== undefined);
      const chain = issueChain(faults, genuine.cas.slice(0, level + 1));
      refusesDocument(name, error, typeof operands === "function" ? operands(chain) : operands, () =>
        documentOf(chain),
      );
    },
    accepts(name, chain) {
      it(`${name}_isAccepted`, async () => {
        const { leaf } = await state().verifier.verify.staticCall(documentOf(chain), GAS);
        expect(leaf).to.equal(certificateName(chain.leaf.der));
      });
    },
  };
}

/** Expects an error with these operands, at the latest block's time. */
export async function expectRefusal(
  verifier: NitroAttestationVerifier,
  document: Uint8Array,
  error: string,
  operands: Operands,
): Promise<void> {
  await expect(verifier.verify.staticCall(document, { ...GAS, blockTag: "latest" }))
    .to.be.revertedWithCustomError(verifier, error)
    .withArgs(...operands);
}

/** Operand: the name of a chain's certificate, 0 being the root. */
export const nameOf =
  (index: number) =>
  (chain: TestChain): Operands => [certificateName([...chain.cas, chain.leaf][index]!.der)];

/** For operands another test is exact about. */
export const anyHash = (value: unknown): boolean => typeof value === "string" && value.length === 66;
export const anyBytes = (value: unknown): boolean => typeof value === "string" && value.startsWith("0x");
export const anyNumber = (value: unknown): boolean => typeof value === "bigint";
