import { constants, createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";

import { expect } from "chai";

import { MerkleReceiptSigner } from "../../../simulator/enclave/MerkleReceiptSigner.ts";
import { checkTeeFields, TeeFieldsError } from "../../../simulator/receipts/checkTeeFields.ts";
import { toHex } from "../../../simulator/receipts/bytes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { merkleProofSchema, merkleRoot } from "../../../simulator/receipts/merkleProof.ts";
import { signTeeFields } from "../../../simulator/receipts/teeReceipt.ts";
import { rejection } from "../../support/rejection.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicKeyDer = publicKey.export({ type: "spki", format: "der" });
const teeId = keccak256(publicKeyDer);
const signTeeMessage = (hash: Uint8Array): Promise<Buffer> =>
  promisify(sign)("sha256", hash, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
const statement = (n: number) => ({
  requestHash: toHex(createHash("sha256").update(`request ${n}`).digest()),
  outputHash: toHex(createHash("sha256").update(`output ${n}`).digest()),
  timestamp: 1_700_000_000n + BigInt(n),
});

describe("MerkleReceiptSigner", () => {
  const signAll = (count: number, signer = new MerkleReceiptSigner(signTeeMessage)) =>
    Promise.all(
      Array.from({ length: count }, (_, n) => signTeeFields({ teeId, signTeeMessage }, statement(n), signer)),
    );

  for (const count of [1, 2, 3, 5, 8, 17]) {
    it(`sign_${count}AtOnce_oneSignatureThatProvesEach`, async () => {
      const signer = new MerkleReceiptSigner(signTeeMessage);
      const answers = await signAll(count, signer);
      expect(signer.signatures).to.equal(1);
      expect(new Set(answers.map(({ tee_signature }) => tee_signature)).size).to.equal(1);
      answers.forEach((answer, n) => {
        expect(checkTeeFields(answer, statement(n), { teeId, publicKeyDer })).to.deep.equal(statement(n));
      });
    });
  }

  it("sign_whileOneIsMade_waitsForTheNext", async () => {
    const started = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const signer = new MerkleReceiptSigner(async (root) => {
      started.resolve();
      await go.promise;
      return signTeeMessage(root);
    });
    const first = signer.sign(randomBytes(32));
    await started.promise;
    const others = [1, 2, 3].map(() => signer.sign(randomBytes(32)));
    go.resolve();
    expect((await first).proof.count).to.equal(1);
    expect((await Promise.all(others)).map(({ proof }) => proof.count)).to.deep.equal([3, 3, 3]);
    expect(signer.signatures).to.equal(2);
  });

  it("sign_fails_rejectsThoseOfItsTreeOnly", async () => {
    let fails = true;
    const signer = new MerkleReceiptSigner((root) => (fails ? Promise.reject(new Error("no")) : signTeeMessage(root)));
    await rejection(signer.sign(randomBytes(32)));
    fails = false;
    expect((await signer.sign(randomBytes(32))).signature).to.have.length(256);
  });

  it("check_anythingElse_isRefused", async () => {
    const answers = await signAll(5);
    const [answer, other] = [answers[2]!, answers[3]!];
    const merkle = answer.tee_merkle!;
    const lone = await signTeeFields({ teeId, signTeeMessage }, statement(2));
    const flip = (hex: string): string => (hex.startsWith("0") ? "1" : "0") + hex.slice(1);
    const forged = {
      "another's path": { ...answer, tee_merkle: other.tee_merkle },
      "another index": { ...answer, tee_merkle: { ...merkle, index: 3 } },
      "another count": { ...answer, tee_merkle: { ...merkle, count: 4 } },
      "a path cut short": { ...answer, tee_merkle: { ...merkle, path: merkle.path.slice(1) } },
      "a path with more": { ...answer, tee_merkle: { ...merkle, path: [...merkle.path, merkle.root] } },
      "another sibling": { ...answer, tee_merkle: { ...merkle, path: merkle.path.map(flip) } },
      "another root": { ...answer, tee_merkle: { ...merkle, root: flip(merkle.root) } },
      "no proof": { ...answer, tee_merkle: undefined },
      "a plain signature": { ...answer, tee_signature: lone.tee_signature },
      "the root's signature as a plain one": { ...lone, tee_signature: answer.tee_signature },
    };
    for (const [name, forgery] of Object.entries(forged)) {
      expect(() => checkTeeFields(forgery, statement(2), { teeId, publicKeyDer }), name)
        .to.throw(TeeFieldsError)
        .with.property("code", "tee_signature_invalid");
    }
    expect(() => checkTeeFields(answer, statement(3), { teeId, publicKeyDer })).to.throw(TeeFieldsError);
  });

  it("proof_outOfBounds_isNoProof", () => {
    const digest = randomBytes(32);
    const root = "00".repeat(32);
    expect(merkleRoot(digest, { root, index: 0, count: 2, path: [] })).to.equal(undefined);
    for (const proof of [
      { index: 1, count: 1 },
      { index: -1, count: 1 },
      { index: 0, count: 0 },
      { index: 0, count: 2 ** 21 },
    ]) {
      expect(merkleProofSchema.safeParse({ root, path: [], ...proof }).success).to.equal(false);
    }
  });
});
