import { writeFile } from "node:fs/promises";

import { Command } from "commander";

import { Ceremony } from "../../zkml/keys/Ceremony.ts";
import { keyDigest } from "../../zkml/keys/ShapeKey.ts";
import type { Shape } from "../../zkml/shape.ts";
import { verifierSource } from "../../zkml/verifierSource.ts";
import { wholeNumber } from "../options.ts";
import { jsonOption, shapeNamed } from "./options.ts";
import { runSteps, type Workspace, withWorkspace } from "./workspace.ts";

interface JsonOption {
  json?: true;
}

/** One step with progress; prints what it gave as lines, or as JSON. */
async function step(
  title: string,
  { json }: JsonOption,
  work: (workspace: Workspace) => Promise<{ lines: readonly string[]; summary: object }>,
): Promise<void> {
  let result: Awaited<ReturnType<typeof work>> | undefined;
  await withWorkspace((workspace) =>
    runSteps([{ title, task: async () => void (result = await work(workspace)) }], json),
  );
  if (result) console.log(json ? JSON.stringify(result.summary, null, 2) : result.lines.join("\n"));
}

export function ceremonyCommand(): Command {
  return new Command("ceremony")
    .description("A shape's phase 2: proofs cannot be forged as long as one contributor forgot what they drew.")
    .addCommand(startCommand())
    .addCommand(contributeCommand())
    .addCommand(verifyCommand())
    .addCommand(finalizeCommand());
}

const stage = (name: string): Command =>
  new Command(name).argument("<shape>", "S, M or L", shapeNamed).addOption(jsonOption());

const startCommand = (): Command =>
  stage("start")
    .description("Writes the first zkey, which nobody has contributed to.")
    .argument("<ptau>", "a phase 1, prepared for phase 2; check its published hash: 2^13 points for S, 2^15 M, 2^17 L")
    .argument("<to>", "zkey to write")
    .action((shape: Shape, ptau: string, to: string, options: JsonOption) =>
      step(`starting phase 2 of shape ${shape.name}`, options, async ({ prover }) => {
        await new Ceremony(prover, shape).start(ptau, to);
        return { lines: [`Wrote ${to}`], summary: { shape: shape.name, file: to } };
      }),
    );

const contributeCommand = (): Command =>
  stage("contribute")
    .description("Contributes randomness, and prints the contribution's hash, to publish.")
    .argument("<from>", "zkey of the contributor before")
    .argument("<to>", "zkey to write")
    .requiredOption("--name <name>", "who contributes, for the transcript")
    .option("--entropy <text>", "added to the system's randomness; default: nothing", "")
    .action(
      (
        shape: Shape,
        from: string,
        to: string,
        { name, entropy, ...options }: JsonOption & { name: string; entropy: string },
      ) =>
        step(`contributing to shape ${shape.name}`, options, async ({ prover }) => {
          const transcript = await new Ceremony(prover, shape).contribute(from, to, name, entropy);
          return { lines: [...transcript, `Wrote ${to}`], summary: { shape: shape.name, file: to, transcript } };
        }),
    );

const verifyCommand = (): Command =>
  stage("verify")
    .description("Checks a zkey from its first step on, against our circuit and the phase 1.")
    .argument("<ptau>", "the phase 1")
    .argument("<zkey>", "to check")
    .action((shape: Shape, ptau: string, zkey: string, options: JsonOption) =>
      step(`checking the transcript of ${zkey}`, options, async ({ prover }) => {
        const { key, transcript } = await new Ceremony(prover, shape).verify(ptau, zkey);
        const digest = keyDigest(key);
        return {
          lines: [...transcript, `The transcript is valid; digest of the key: ${digest}`],
          summary: { valid: true, shape: shape.name, digest, transcript },
        };
      }),
    );

interface FinalizeOptions extends JsonOption {
  beacon: string;
  iterations: number;
  contract: string;
  solidity?: string;
}

const finalizeCommand = (): Command =>
  stage("finalize")
    .description(
      "Ends a ceremony with a public random value, checks all of it, installs the key and writes its verifier.",
    )
    .argument("<ptau>", "the phase 1")
    .argument("<from>", "the last contributor's zkey")
    .argument("<to>", "zkey to write")
    .requiredOption("--beacon <hex>", "public random value that nobody could choose, such as a later block's hash")
    .option("--iterations <n>", "the beacon is hashed 2^n times", wholeNumber(10, 63), 10)
    .option("--contract <name>", "name of the verifier contract; default: Shape and the shape's name")
    .option("--solidity <file>", "where to write it; default: contracts/zkml/shapes/NAME.sol")
    .action((shape: Shape, ptau: string, from: string, to: string, options: FinalizeOptions) =>
      step(`finalizing shape ${shape.name}`, options, ({ prover, keys }) => {
        const { beacon, iterations, contract = `Shape${shape.name}` } = options;
        const { solidity = `contracts/zkml/shapes/${contract}.sol` } = options;
        return finalize(
          { ceremony: new Ceremony(prover, shape), keys, shape },
          { ptau, from, to, beacon, iterations, contract, solidity },
        );
      }),
    );

async function finalize(
  { ceremony, keys, shape }: { ceremony: Ceremony; keys: Workspace["keys"]; shape: Shape },
  {
    ptau,
    from,
    to,
    beacon,
    iterations,
    contract,
    solidity,
  }: Record<"ptau" | "from" | "to" | "solidity", string> & Omit<FinalizeOptions, "solidity" | "json">,
) {
  if (!/^[A-Z][A-Za-z0-9]*$/.test(contract)) {
    throw new Error(`Expected a contract name of letters and digits that begins with a capital, found "${contract}"`);
  }
  await ceremony.finalise(from, to, beacon.replace(/^0x/, ""), iterations);
  const { zkey, transcript } = await ceremony.verify(ptau, to);
  const { key, file } = await keys.install(shape, zkey);
  await writeFile(solidity, verifierSource(key, contract));
  const digest = keyDigest(key);
  return {
    lines: [...transcript, `Wrote ${to}`, `Installed the key as ${file}; digest ${digest}`, `Wrote ${solidity}`],
    summary: { shape: shape.name, file: to, key: file, digest, solidity, transcript },
  };
}
