import { Command } from "commander";

import { Ceremony } from "../../zkml/keys/Ceremony.ts";
import { keyDigest } from "../../zkml/keys/ShapeKey.ts";
import { type Shape, SHAPES } from "../../zkml/shape.ts";
import { jsonOption, shapesNamed } from "./options.ts";
import { runSteps, withWorkspace } from "./workspace.ts";

interface SetupOptions {
  ptau?: string;
  json?: true;
}

export function setupCommand(): Command {
  return new Command("setup")
    .description("Makes development keys, or with --ptau begins the real phase 2 of shapes.")
    .argument("[shapes...]", "S, M or L; default: all", shapesNamed)
    .option("--ptau <file>", "a phase 1, prepared for phase 2: writes SHAPE-0000.zkey, to contribute to")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nA development key follows from a public seed: anybody can forge proofs for it, and contracts refuse it on public chains.",
    )
    .action((shapes: Shape[] | undefined, options: SetupOptions) => setup(shapes ?? Object.values(SHAPES), options));
}

async function setup(shapes: readonly Shape[], { ptau, json }: SetupOptions): Promise<void> {
  const made: object[] = [];
  await withWorkspace(({ prover, keys }) =>
    runSteps(
      shapes.map((shape) => ({
        title: `${ptau === undefined ? "development key" : "phase 2"} of shape ${shape.name} ${shape.dims.join("-")}`,
        task: async (_, task) => {
          if (ptau === undefined) {
            const { key, file } = await keys.development(shape);
            made.push({ shape: shape.name, file, digest: keyDigest(key), development: true });
            task.title += `: ${file}`;
            return;
          }
          const file = `${shape.name}-0000.zkey`;
          await new Ceremony(prover, shape).start(ptau, file);
          made.push({ shape: shape.name, file });
          task.title += `: ${file}; next: zk ceremony contribute ${shape.name} ${file} ${shape.name}-0001.zkey --name YOU`;
        },
      })),
      json,
    ),
  );
  if (json) console.log(JSON.stringify(made, null, 2));
}
