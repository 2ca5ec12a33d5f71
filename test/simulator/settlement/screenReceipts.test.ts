import { expect } from "chai";

import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { ReceiptTensors } from "../../../simulator/receipts/tensors.ts";
import type { Receipt, SignedReceipt } from "../../../simulator/receipts/types.ts";
import { screenReceipts, type ScreeningFacts } from "../../../simulator/settlement/screenReceipts.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { bytes32, hasher, nodeSigner, operator, signed } from "./receipts.ts";

const now = 1_800_000_000n;
const stranger = signerFromKey(`0x${"47".repeat(32)}`);
const foreign = signerFromKey(`0x${"48".repeat(32)}`);
const record = { operator, validFrom: now - 1_000n, validUntil: now + 1_000n, modes: 0b001 };
const facts: ScreeningFacts = {
  operator,
  hasher,
  signers: new Map([
    [nodeSigner.address, record],
    [foreign.address, { ...record, operator: `0x${"0c".repeat(20)}` }],
  ]),
  models: new Map([[bytes32(2), { owner: operator, royaltyBps: 0, modes: 0b101, price: 1_000n }]]),
  earliest: now - 5_000n,
  latest: now + 2_000n,
};

function verdict(fields: Partial<Receipt>, signer = nodeSigner, changed: Partial<ScreeningFacts> = {}) {
  const { settleable, heldBack, refused } = screenReceipts([signed(fields, signer)], { ...facts, ...changed });
  expect(settleable.length + heldBack.length + refused.length).to.equal(1);
  return refused[0]?.reason ?? (heldBack.length ? "held back" : "settleable");
}

describe("screenReceipts", () => {
  it("lets through what the contract and the verifiers accept", () => {
    expect(verdict({})).to.equal("settleable");
    expect(verdict({ servedAt: record.validFrom })).to.equal("settleable");
    expect(verdict({ servedAt: record.validUntil - 1n })).to.equal("settleable");
  });

  it("refuses what would be a fault", () => {
    expect(verdict({ servedAt: record.validFrom - 1n }), "before the key").to.equal("invalid_signer");
    expect(verdict({ servedAt: record.validUntil }), "after the key").to.equal("invalid_signer");
    expect(verdict({}, foreign), "another operator's key").to.equal("invalid_signer");
    expect(verdict({ mode: 2 }), "mode of the key").to.equal("invalid_signer");
    expect(verdict({ fee: 999n })).to.equal("fee_below_price");
    expect(verdict({ servedAt: facts.earliest - 1n })).to.equal("expired");
    const tee = new Map([[nodeSigner.address, { ...record, modes: 0b111 }]]);
    expect(verdict({ mode: 1 }, nodeSigner, { signers: tee }), "mode of the model").to.equal("mode_not_offered");
    const receipt: SignedReceipt = { ...signed(), signature: `0x${"ff".repeat(64)}` };
    expect(screenReceipts([receipt], facts).refused[0]?.reason).to.equal("invalid_signature");
  });

  it("holds back what may become right", () => {
    expect(verdict({}, stranger), "key not known yet").to.equal("held back");
    expect(verdict({ modelId: bytes32(99) }), "model not known yet").to.equal("held back");
    expect(verdict({ servedAt: facts.latest + 1n }), "ahead of the clock").to.equal("held back");
  });

  it("holds a receipt of mode ZKML back until its proof is there, and refuses words that are not its own", () => {
    const words = { inWords: [1n], outWords: [2n] };
    const proof = { a: [4n, 5n], b: [6n, 7n, 8n, 9n], c: [10n, 11n] } as const;
    const own = { inputHash: tensorHash(words.inWords), outputHash: tensorHash(words.outWords) };
    const zkml: ScreeningFacts = {
      ...facts,
      signers: new Map([[nodeSigner.address, { ...record, modes: 0b011 }]]),
      models: new Map([[bytes32(2), { owner: operator, royaltyBps: 0, modes: 0b011, price: 0n }]]),
    };
    const screen = (fields: Partial<Receipt>, tensors?: ReceiptTensors) =>
      screenReceipts([{ ...signed(fields), ...(tensors && { tensors }) }], zkml);
    expect(screen({ mode: 1, ...own }).heldBack).to.have.length(1);
    expect(screen({ mode: 1, ...own }, words).heldBack).to.have.length(1);
    expect(screen({ mode: 1, ...own }, { ...words, proof }).settleable).to.have.length(1);
    expect(screen(own, words).settleable).to.have.length(1);
    for (const mode of [0, 1] as const) {
      const { refused } = screen({ ...own, mode, outputHash: bytes32(1) }, { ...words, ...(mode === 1 && { proof }) });
      expect(refused[0]?.reason).to.equal("invalid_tensors");
    }
  });
});
