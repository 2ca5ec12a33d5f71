import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { expect } from "chai";
import { z } from "zod";

import { CONTRACT_NAMES } from "../../simulator/chain/contracts.ts";

// What npm and the test runner tell their own children would lead these back into this repository
const FOREIGN = new Set(["NODE_OPTIONS", "npm_config_local_prefix", "npm_package_json", "INIT_CWD"]);
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.has(name)));
const run = (command: string, args: string[], cwd: string) => promisify(execFile)(command, args, { cwd, env });
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** What a project that installs the package can do with it. */
describe("the npm package", () => {
  let project: string;

  const node = (...args: string[]) => run(process.execPath, args, project);

  before(async function () {
    this.timeout(120_000);
    project = await mkdtemp(join(tmpdir(), "opengradient-package-"));
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", project], ROOT);
    // prepack may print before the JSON
    const [packed] = z.array(z.object({ filename: z.string() })).parse(JSON.parse(stdout.slice(stdout.search(/^\[/m))));
    await writeFile(join(project, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
    const { devDependencies } = z
      .object({ devDependencies: z.object({ ethers: z.string() }) })
      .parse(JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")));
    await run(
      "npm",
      [
        "install",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        `./${packed?.filename}`,
        `ethers@${devDependencies.ethers}`,
      ],
      project,
    );
  });

  after(() => rm(project, { recursive: true, force: true }));

  it("bindings_areImportedByNode", async () => {
    await writeFile(
      join(project, "bindings.js"),
      `import { Interface } from "ethers";
       import { OPG__factory, ProofSettlement__factory } from "opengradient/typechain-types";
       const opg = OPG__factory.createInterface();
       console.log(opg instanceof Interface, opg.getFunction("transfer").selector, OPG__factory.bytecode.length > 1000);
       console.log(ProofSettlement__factory.createInterface().getEvent("BatchSubmitted") !== null);`,
    );
    expect((await node("bindings.js")).stdout).to.equal("true 0xa9059cbb true\ntrue\n");
  });

  it("types_areThoseOfTheContracts", async () => {
    const source = (amount: string) => `import { JsonRpcProvider } from "ethers";
      import { NodeStaking__factory, OPG__factory, type OPG } from "opengradient/typechain-types";
      import local from "opengradient/deployments/localhost.json" with { type: "json" };
      const provider = new JsonRpcProvider("http://127.0.0.1:8545");
      const opg: OPG = OPG__factory.connect(local.contracts.OPG.address, provider);
      const supply: bigint = await opg.totalSupply();
      await opg.transfer(local.contracts.NodeStaking.address, ${amount});
      console.log(supply, NodeStaking__factory.abi.length);`;
    await writeFile(join(project, "right.ts"), source("supply"));
    await writeFile(join(project, "wrong.ts"), source("true"));
    const compilerOptions = {
      module: "nodenext",
      target: "es2022",
      strict: true,
      resolveJsonModule: true,
      noEmit: true,
      types: [],
    };
    const config = { compilerOptions, files: ["right.ts", "wrong.ts"] };
    await writeFile(join(project, "tsconfig.json"), JSON.stringify(config));
    // tsc prints its errors to stdout and fails
    const failure = z.object({ stdout: z.string() }).parse(await node(TSC).catch((e: unknown) => e));
    const errors = failure.stdout.split("\n").filter((line) => line.includes("error TS"));
    expect(errors).to.have.length(1);
    expect(errors[0]).to.match(/^wrong\.ts\(7,/);
  });

  it("addressBook_isImportedByNode", async () => {
    await writeFile(
      join(project, "book.js"),
      `import local from "opengradient/deployments/localhost.json" with { type: "json" };
       console.log(local.chainId, Object.keys(local.contracts).length);`,
    );
    expect((await node("book.js")).stdout).to.equal(`31337 ${CONTRACT_NAMES.length}\n`);
  });

  it("contracts_areImportedBySolidity", () => {
    const { contracts, errors } = compile(
      `pragma solidity 0.8.37;
       import {OPG} from "opengradient/contracts/token/OPG.sol";
       import {INodeRegistry} from "opengradient/contracts/nodes/INodeRegistry.sol";
       contract Consumer {
         OPG public immutable token = new OPG(msg.sender);
         INodeRegistry public nodes;
       }`,
      createRequire(join(project, "package.json")),
    );
    expect(errors).to.deep.equal([]);
    expect(contracts["Consumer.sol"]?.Consumer?.evm.bytecode.object).to.match(/^[0-9a-f]{100,}$/);
  });
});

const compilerOutput = z.object({
  contracts: z.record(
    z.string(),
    z.record(z.string(), z.object({ evm: z.object({ bytecode: z.object({ object: z.string() }) }) })),
  ),
  errors: z.array(z.object({ severity: z.string(), formattedMessage: z.string() })).default([]),
});

/** Compiles with the pinned compiler; imports are found as Node finds them from `require`, package exports included. */
function compile(source: string, require: NodeJS.Require) {
  const solc = createRequire(import.meta.url)("solc") as {
    compile(input: string, callbacks: { import(path: string): { contents: string } | { error: string } }): string;
  };
  const input = {
    language: "Solidity",
    sources: { "Consumer.sol": { content: source } },
    settings: { evmVersion: "osaka", outputSelection: { "Consumer.sol": { "*": ["evm.bytecode.object"] } } },
  };
  const find = (path: string) => {
    try {
      return { contents: readFileSync(require.resolve(path), "utf8") };
    } catch (error) {
      return { error: String(error) };
    }
  };
  const { contracts, errors } = compilerOutput.parse(JSON.parse(solc.compile(JSON.stringify(input), { import: find })));
  return { contracts, errors: errors.filter(({ severity }) => severity === "error") };
}
