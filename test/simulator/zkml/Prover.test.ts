import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";

import { KeyStore, type StoredKey } from "../../../simulator/zkml/keys/KeyStore.ts";
import { keyDigest } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { Prover, type ProverOptions } from "../../../simulator/zkml/prover/Prover.ts";
import { defineShape, SHAPES } from "../../../simulator/zkml/shape.ts";
import { verifyProof } from "../../../simulator/zkml/verifyProof.ts";
import { commitmentOf } from "../../../simulator/zkml/commitment.ts";
import { rejection } from "../../support/rejection.ts";
import { developmentKey, prover as shared, randomInputs, randomModel } from "../../support/zk.ts";

const TINY = defineShape("tiny", [3, 4, 2]);
const QUESTION = { vector: randomModel(TINY), inputs: randomInputs(TINY), context: 5n };

describe("the prover", () => {
  const provers: Prover[] = [];
  const newProver = (options?: ProverOptions) => {
    const prover = new Prover(options);
    provers.push(prover);
    return prover;
  };
  let tiny: StoredKey;

  before(async () => {
    tiny = await developmentKey(TINY);
  });
  after(() => Promise.all(provers.map((prover) => prover.close())));

  it("answers one after the other, whatever is asked meanwhile", async () => {
    const prover = newProver();
    const contexts = [1n, 2n, 3n];
    const proved = await Promise.all(
      contexts.map((context) => prover.prove(TINY, tiny.file, { ...QUESTION, context })),
    );
    const commitment = commitmentOf(tiny.key, QUESTION.vector);
    proved.forEach(({ proof, signals }, i) => {
      expect(signals[1]).to.equal(contexts[i]);
      expect(verifyProof(tiny.key, commitment, proof, signals)).to.equal(true);
    });
    expect(prover.load).to.equal(0);
    expect(prover.peakMiB).to.be.within(50, 1_000);
  });

  it("refuses more than may wait", async () => {
    const prover = newProver({ maxWaiting: 1 });
    const running = prover.prove(TINY, tiny.file, QUESTION);
    const waiting = prover.prove(TINY, tiny.file, QUESTION);
    expect(await rejection(prover.prove(TINY, tiny.file, QUESTION))).to.have.property("code", "prover_busy");
    await Promise.all([running, waiting]);
  });

  it("fails a task that takes too long, and goes on with the next", async () => {
    const prover = newProver({ timeoutMs: 1 });
    const error = await rejection(prover.prove(TINY, tiny.file, QUESTION));
    expect(error).to.have.property("code", "prover_timeout");
    const again = await rejection(prover.prove(TINY, tiny.file, QUESTION));
    expect(again).to.have.property("code", "prover_timeout");
  });

  it("fails a task that needs more memory than it may, with a process that ends", async () => {
    const prover = newProver({ memoryMiB: 48 });
    const error = await rejection(prover.setup(SHAPES.M, join(tmpdir(), "never-written.key"), "seed"));
    expect(error).to.have.property("code", "prover_out_of_memory");
    expect(error.message).to.include("48 MiB");
  });

  it("tells what the process failed on, and takes the next task", async () => {
    const prover = newProver();
    const error = await rejection(prover.prove(TINY, join(tmpdir(), "no-such.key"), QUESTION));
    expect(error).to.have.property("code", "prover_failed");
    expect(error.message).to.include("There is no key file");
    const { signals } = await prover.prove(TINY, tiny.file, QUESTION);
    expect(signals).to.have.length(TINY.requestSignals);
  });

  it("refuses questions that the circuit doesn't take, before it starts a process", async () => {
    const prover = newProver();
    for (const wrong of [
      { ...QUESTION, inputs: [1] },
      { ...QUESTION, inputs: [1, 2, 2 ** 14] },
      { ...QUESTION, vector: QUESTION.vector.with(0, 2 ** 15) },
      { ...QUESTION, context: -1n },
    ]) {
      expect(await rejection(prover.prove(TINY, tiny.file, wrong))).to.have.property("code", "zk_value_out_of_range");
    }
  });

  it("fails what runs and waits when it is closed, and takes nothing after", async () => {
    const prover = newProver();
    const tasks = [prover.prove(TINY, tiny.file, QUESTION), prover.prove(TINY, tiny.file, QUESTION)].map(rejection);
    await prover.close();
    for (const error of await Promise.all(tasks)) expect(error).to.have.property("code", "prover_closed");
    expect(await rejection(prover.fold(TINY, tiny.file, QUESTION.vector))).to.have.property("code", "prover_closed");
  });

  it("doesn't keep Node alive when it is idle and nobody closes it", async () => {
    const script = `
      import { Prover } from ${JSON.stringify(new URL("../../../simulator/zkml/prover/Prover.ts", import.meta.url).href)};
      import { defineShape } from ${JSON.stringify(new URL("../../../simulator/zkml/shape.ts", import.meta.url).href)};
      const shape = defineShape("tiny", [3, 4, 2]);
      const point = await new Prover({ idleMs: 3_600_000 }).fold(shape, ${JSON.stringify(tiny.file)}, new Int32Array(shape.modelLength));
      console.log(point.length);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 60_000,
    });
    expect(stdout.trim()).to.equal("2");
  });
});

describe("stored keys", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "zk-keys-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("of development are made again, to the bit that git names", async () => {
    // throws unless the digest is that of developmentDigests.ts, which the deployed verifier was generated from
    const { key, file } = await new KeyStore(shared, directory).development(SHAPES.S);
    expect(key.development).to.equal(true);
    const kept = await developmentKey();
    expect(keyDigest(key)).to.equal(keyDigest(kept.key));
    expect((await readFile(file)).equals(await readFile(kept.file))).to.equal(true);
  });

  it("are made again when their file is damaged", async () => {
    const { file } = await new KeyStore(shared, directory).development(TINY);
    const intact = await readFile(file);
    const damaged = Buffer.from(intact);
    damaged[damaged.length - 1] = (damaged[damaged.length - 1] as number) ^ 1;
    await writeFile(file, damaged);
    expect(await rejection(shared.prove(TINY, file, QUESTION))).to.have.property("code", "prover_failed");
    await new KeyStore(shared, directory).development(TINY);
    expect((await readFile(file)).equals(intact)).to.equal(true);
  });

  it("of a ceremony are not there before they are installed, and a development key is none", async () => {
    const keys = new KeyStore(shared, directory);
    expect((await rejection(keys.ceremony(TINY))).message).to.include("There is no ceremony key for shape tiny");
    const { file } = await keys.development(TINY);
    const zkey = (await readFile(file)).subarray(40);
    expect((await rejection(keys.install(TINY, zkey))).message).to.include("Expected a key with contributions");
  });
});
