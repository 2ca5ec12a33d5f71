import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect } from "chai";
import { pino } from "pino";

import { deployOpenGradient } from "../../../simulator/chain/deployOpenGradient.ts";
import { connectChain, type Chain } from "../../../simulator/chain/connectChain.ts";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { connectContracts } from "../../../simulator/chain/contracts.ts";
import { perceptron } from "../../support/onnxModels.ts";
import { developmentKey } from "../../support/zk.ts";

const MAIN = fileURLToPath(new URL("../../../simulator/cli/main.ts", import.meta.url));
const SAMPLES = [
  [0.5, -0.25, 1, 0],
  [1, 1, 1, 1],
  [-1, -1, -1, -1],
];

describe("opengradient zk register", function () {
  this.timeout(240_000);
  const directory = mkdtempSync(join(tmpdir(), "zk-register-"));
  const embedded = new EmbeddedChain({ logger: pino({ level: "silent" }) });
  const deployerKey = devAccounts(1)[0]!.privateKey;
  const file = (name: string) => join(directory, name);
  let chain: Chain;

  before(async () => {
    await developmentKey();
    await embedded.start();
    chain = await connectChain({ url: embedded.url });
    writeFileSync(file("model.onnx"), perceptron([4, 6, 2], "Relu"));
    writeFileSync(file("samples.json"), JSON.stringify(SAMPLES));
  });
  after(async () => {
    chain?.close();
    await embedded.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function register(): Promise<{ code: number | null; err: string }> {
    const args = [file("model.onnx"), "--calibration", file("samples.json"), "--blobs", file("blobs")];
    const child = spawn(
      process.execPath,
      ["--import", "tsx", MAIN, "zk", "register", ...args, "--rpc", embedded.url, "--name", "tested"],
      { env: { ...process.env, ZK_PRIVATE_KEY: deployerKey }, stdio: ["ignore", "ignore", "pipe"] },
    );
    let err = "";
    child.stderr.on("data", (part: Buffer) => (err += part.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, err };
  }

  it("says that there are no contracts on a chain without", async () => {
    const { code, err } = await register();
    expect(code).to.equal(1);
    expect(err).to.contain("Expected the contracts of an address book");
  });

  it("registers the commitment with its bond, and says that no verifiers approve it where there are none", async () => {
    const book = await deployOpenGradient({ chain, deployerKey });
    const { models } = connectContracts(book, chain.provider);
    const { code, err } = await register();
    expect(code, err).to.equal(1);
    const modelId = await models.modelIdOf(1, 1);
    expect((await models.zkVersion(modelId)).status, err).to.equal(1n);
    expect((await models.zkBonds(1)).locked).to.equal((await models.zkTerms()).bond);
    expect(err).to.match(/verifier/i);
  });
});
