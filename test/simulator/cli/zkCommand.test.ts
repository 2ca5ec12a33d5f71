import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect } from "chai";
import type { Command } from "commander";

import { zkCommand } from "../../../simulator/cli/zk/zkCommand.ts";
import { perceptron } from "../../support/onnxModels.ts";
import { onnxFile } from "../../support/onnxFile.ts";
import { developmentKey } from "../../support/zk.ts";

const MAIN = fileURLToPath(new URL("../../../simulator/cli/main.ts", import.meta.url));
const INPUT = [0.5, -0.25, 1, 0];
const SAMPLES = [INPUT, [1, 1, 1, 1], [-1, -1, -1, -1]];

interface Finished {
  code: number | null;
  out: string;
  err: string;
}

interface ProofJson {
  commitment: string[];
  outputScale: number;
  context: Record<string, string>;
  tensors: { outputs: string[] };
}

describe("opengradient zk", function () {
  this.timeout(240_000);
  let directory: string;
  const file = (name: string) => join(directory, name);

  async function zk(...args: string[]): Promise<Finished> {
    const child = spawn(process.execPath, ["--import", "tsx", MAIN, "zk", ...args], {
      env: { ...process.env, ZK_PRIVATE_KEY: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr.on("data", (part: Buffer) => (err += part.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, out, err };
  }

  async function succeed(...args: string[]): Promise<unknown> {
    const { code, out, err } = await zk(...args, "--json");
    expect(code, `${err}${out}`).to.equal(0);
    return JSON.parse(out);
  }

  /** A copy of the proof that somebody has changed. */
  function forged(name: string, change: (proof: ProofJson) => void): string {
    const proof = JSON.parse(readFileSync(file("proof.json"), "utf8")) as ProofJson;
    change(proof);
    writeFileSync(file(name), JSON.stringify(proof));
    return file(name);
  }

  before(async () => {
    await developmentKey();
    directory = mkdtempSync(join(tmpdir(), "zk-cli-"));
    writeFileSync(file("model.onnx"), perceptron([4, 8, 3], "Relu", 1));
    writeFileSync(file("other.onnx"), perceptron([4, 8, 3], "Relu", 2));
    writeFileSync(file("input.json"), JSON.stringify([INPUT]));
    writeFileSync(file("samples.json"), JSON.stringify(SAMPLES));
    for (const name of ["model", "other"]) {
      const imported = ["import", file(`${name}.onnx`), "--calibration", file("samples.json")];
      await succeed(...imported, "--out", file(`${name}.zk`));
    }
    await succeed("prove", file("model.zk"), "--input", file("input.json"), "--out", file("proof.json"));
  });

  after(() => rmSync(directory, { recursive: true }));

  it("explains every command", () => {
    const explain = (command: Command, path: string): void => {
      const name = `${path} ${command.name()}`.trim();
      expect(command.helpInformation()).to.contain(`Usage: ${name} [options]`);
      for (const each of command.commands) explain(each, name);
    };
    explain(zkCommand(), "");
  });

  it("verify_ownProof_valid", async () => {
    const verdict = await succeed("verify", file("proof.json"), "--model", file("model.zk"));

    expect(verdict).to.deep.include({ valid: true, inputs: INPUT });
    expect(verdict).to.have.property("outputs").with.lengthOf(3);
  });

  it("prove_onnxFile_answersAsItsModelFile", async () => {
    const proved = (await succeed(
      ...["prove", file("model.onnx"), "--calibration", file("samples.json"), "--input", file("input.json")],
      ...["--out", file("again.json")],
    )) as { outputs: number[] };
    const verdict = (await succeed("verify", file("proof.json"))) as { outputs: number[] };

    expect(proved.outputs).to.deep.equal(verdict.outputs);
  });

  it("verify_changedAnswer_refused", async () => {
    const changed = forged("answer.json", ({ tensors }) => {
      const [word = ""] = tensors.outputs;
      tensors.outputs[0] = `0x${(BigInt(word) ^ 1n).toString(16).padStart(64, "0")}`;
    });
    const { code, err } = await zk("verify", changed);

    expect(code).to.equal(1);
    expect(err).to.contain("Refused: the proof is none of this model");
  });

  it("verify_otherRequest_refused", async () => {
    const replayed = forged("request.json", ({ context }) => (context["requestId"] = `0x${"11".repeat(32)}`));
    const { code } = await zk("verify", replayed);

    expect(code).to.equal(1);
  });

  it("verify_otherModel_refused", async () => {
    const { code, err } = await zk("verify", file("proof.json"), "--model", file("other.zk"));

    expect(code).to.equal(1);
    expect(err).to.contain("Refused: Expected");
  });

  it("verify_otherScaleThanModel_refused", async () => {
    const rescaled = forged("scale.json", (proof) => proof.outputScale--);
    const { code, err } = await zk("verify", rescaled, "--model", file("model.zk"));

    expect(code).to.equal(1);
    expect(err).to.contain("sizes and scales");
  });

  it("verify_otherCommitment_refused", async () => {
    const { code, err } = await zk("verify", file("proof.json"), "--commitment", "1,2");

    expect(code).to.equal(1);
    expect(err).to.contain("it is a proof of another model");
  });

  it("verify_noProofFile_saysWhatWasExpected", async () => {
    const { code, err } = await zk("verify", file("input.json"));

    expect(code).to.equal(1);
    expect(err).to.contain("to be a proof as zk prove writes it");
  });

  it("import_unsupportedOperator_namesIt", async () => {
    const nodes = [{ operator: "Erf", inputs: ["x"], output: "y" }];
    const description = {
      input: { name: "x", dims: [1, 4] },
      output: { name: "y", dims: [1, 4] },
      constants: {},
      nodes,
    };
    writeFileSync(file("erf.onnx"), onnxFile(description));
    const { code, err } = await zk("import", file("erf.onnx"), "--calibration", file("samples.json"));

    expect(code).to.equal(1);
    expect(err).to.contain("Erf");
  });

  it("prove_inputBeyondCalibration_refused", async () => {
    writeFileSync(file("large.json"), "[1000, 0, 0, 0]");
    const { code, err } = await zk("prove", file("model.zk"), "--input", file("large.json"));

    expect(code).to.equal(1);
    expect(err).to.contain("input 0");
  });

  it("prove_noInputs_saysWhatWasExpected", async () => {
    writeFileSync(file("text.json"), '["a"]');
    const { code, err } = await zk("prove", file("model.zk"), "--input", file("text.json"));

    expect(code).to.equal(1);
    expect(err).to.contain("a list of numbers");
  });

  it("ceremony_missingPtau_fails", async () => {
    const { code, err } = await zk("ceremony", "start", "S", file("none.ptau"), file("0.zkey"));

    expect(code).to.equal(1);
    expect(err).to.contain("none.ptau");
  });

  it("setup_unknownShape_namesShapes", async () => {
    const { code, err } = await zk("setup", "XL");

    expect(code).to.equal(1);
    expect(err).to.contain("S, M, L");
  });
});
