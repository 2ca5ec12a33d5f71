import { writeFile } from "node:fs/promises";

import { Command } from "commander";

import type { Shape } from "../../zkml/shape.ts";
import { describeImport, importFile, localBlob, readSamples } from "./loadModel.ts";
import { jsonOption, shapeNamed } from "./options.ts";

interface ImportOptions {
  calibration: string;
  shape?: Shape;
  out?: string;
  json?: true;
}

export function importCommand(): Command {
  return new Command("import")
    .description("Quantises an ONNX model for a circuit, reports the error, and writes a model file. Needs no chain.")
    .argument("<model>", "ONNX file")
    .requiredOption("--calibration <file>", "JSON list of sample inputs: their ranges set the scales")
    .option("--shape <shape>", "S, M or L; default: the smallest that fits", shapeNamed)
    .option("--out <file>", "model file to write, for zk prove, verify and register")
    .addOption(jsonOption())
    .action(async (file: string, { calibration, shape, out, json }: ImportOptions) => {
      const loaded = await importFile(file, await readSamples(calibration), shape);
      if (out !== undefined) await writeFile(out, localBlob(loaded));
      if (!json) return console.log([...describeImport(loaded), ...(out ? [`Wrote ${out}`] : [])].join("\n"));
      const { shape: fitted, inputs, outputs, inputScales, outputScale } = loaded.model;
      const summary = { shape: fitted.name, inputs, outputs, inputScales, outputScale, ...loaded.report, file: out };
      console.log(JSON.stringify(summary, null, 2));
    });
}
