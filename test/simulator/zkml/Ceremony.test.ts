import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { curves, type MemoryFile, powersOfTau } from "snarkjs";

import { commitmentOf } from "../../../simulator/zkml/commitment.ts";
import { domainPower, networkCircuit } from "../../../simulator/zkml/circuit/networkCircuit.ts";
import { Ceremony } from "../../../simulator/zkml/keys/Ceremony.ts";
import { KeyStore } from "../../../simulator/zkml/keys/KeyStore.ts";
import { keyDigest } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { defineShape } from "../../../simulator/zkml/shape.ts";
import { verifyProof } from "../../../simulator/zkml/verifyProof.ts";
import { rejection } from "../../support/rejection.ts";
import { prover, randomInputs, randomModel } from "../../support/zk.ts";

const TINY = defineShape("tiny", [2, 1]);

/** A phase 1 of one contributor, prepared for phase 2. */
async function makePtau(power: number): Promise<Uint8Array> {
  const curve = await curves.getCurveFromName("bn128");
  try {
    const [first, second, prepared]: MemoryFile[] = [{ type: "mem" }, { type: "mem" }, { type: "mem" }];
    const dataOf = (file?: MemoryFile) => file?.data as Uint8Array;
    await powersOfTau.newAccumulator(curve, power, first as MemoryFile);
    await powersOfTau.contribute(dataOf(first), second as MemoryFile, "test", "entropy");
    await powersOfTau.preparePhase2(dataOf(second), prepared as MemoryFile);
    return dataOf(prepared);
  } finally {
    // its threads would keep Node alive
    await curve.terminate();
  }
}

/** Where a section of one of snarkjs's files begins. Section 4 of a `.ptau` has α in G1. */
function sectionOffset(file: Buffer, wanted: number): number {
  for (let at = 12; at < file.length;) {
    const [id, length] = [file.readUInt32LE(at), Number(file.readBigUInt64LE(at + 4))];
    if (id === wanted) return at + 12;
    at += 12 + length;
  }
  throw new Error(`no section ${wanted}`);
}

describe("a ceremony", () => {
  const ceremony = new Ceremony(prover, TINY);
  let directory: string;
  const file = (name: string) => join(directory, name);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "zk-ceremony-"));
    await writeFile(file("phase1.ptau"), await makePtau(domainPower(networkCircuit(TINY))));
    await ceremony.start(file("phase1.ptau"), file("0.zkey"));
    await ceremony.contribute(file("0.zkey"), file("1.zkey"), "alice");
    await ceremony.contribute(file("1.zkey"), file("2.zkey"), "bob", "dice");
    await ceremony.finalise(file("2.zkey"), file("final.zkey"), "0123456789abcdef");
  });

  after(() => rm(directory, { recursive: true, force: true }));

  it("ends in a key that verifies, is no development key, and names its contributors", async () => {
    const { key, transcript } = await ceremony.verify(file("phase1.ptau"), file("final.zkey"));
    expect(key.development).to.equal(false);
    for (const name of ["alice", "bob", "beacon"]) expect(transcript.join("\n")).to.include(name);
  });

  it("gives proofs that verify under its key, and not under that of a step before", async () => {
    const keys = new KeyStore(prover, file("keys"));
    const { zkey } = await ceremony.verify(file("phase1.ptau"), file("final.zkey"));
    await keys.install(TINY, zkey);
    const { key, file: keyFile } = await keys.ceremony(TINY);
    const [vector, inputs] = [randomModel(TINY), randomInputs(TINY)];
    const { proof, signals } = await prover.prove(TINY, keyFile, { vector, inputs, context: 4n });
    expect(verifyProof(key, commitmentOf(key, vector), proof, signals)).to.equal(true);

    const earlier = (await ceremony.verify(file("phase1.ptau"), file("2.zkey"))).key;
    expect(keyDigest(earlier)).not.to.equal(keyDigest(key));
    expect(verifyProof(earlier, commitmentOf(earlier, vector), proof, signals)).to.equal(false);
  });

  it("is not over before somebody contributed", async () => {
    const error = await rejection(ceremony.verify(file("phase1.ptau"), file("0.zkey")));
    expect(error.message).to.include("delta to differ from gamma");
  });

  it("is refused when its key was changed, or belongs to another circuit or phase 1", async () => {
    const bytes = await readFile(file("final.zkey"));
    // within the points of the last sections
    bytes[bytes.length - 3000] = (bytes[bytes.length - 3000] as number) ^ 1;
    await writeFile(file("changed.zkey"), bytes);
    expect(await rejection(ceremony.verify(file("phase1.ptau"), file("changed.zkey")))).to.have.property(
      "code",
      "prover_failed",
    );
    const other = new Ceremony(prover, defineShape("other", [1, 1]));
    expect((await rejection(other.verify(file("phase1.ptau"), file("final.zkey")))).message).to.include(
      "public signals",
    );
    const ptau = await readFile(file("phase1.ptau"));
    const alpha = sectionOffset(ptau, 4);
    ptau[alpha] = (ptau[alpha] as number) ^ 1;
    await writeFile(file("other.ptau"), ptau);
    expect(await rejection(ceremony.verify(file("other.ptau"), file("final.zkey")))).to.have.property(
      "code",
      "prover_failed",
    );
  });

  it("needs a phase 1 that is large enough, and a beacon in hexadecimal", async () => {
    const large = new Ceremony(prover, defineShape("larger", [8, 8]));
    expect((await rejection(large.start(file("phase1.ptau"), file("x.zkey")))).message).to.include("circuit too big");
    expect(await rejection(ceremony.finalise(file("2.zkey"), file("x.zkey"), "0xyz"))).to.have.property(
      "code",
      "zk_value_out_of_range",
    );
  });
});
