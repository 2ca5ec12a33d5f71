/** Writes the networks where `compile.py` reads them: `tsx scripts/bench/zkml/ezkl/writeNetworks.ts FOLDER`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { benchNetwork, NETWORK_NAMES } from "../networks.ts";

const folder = process.argv[2];
if (folder === undefined) throw new TypeError("Expected a folder to write to");
mkdirSync(folder, { recursive: true });
for (const name of NETWORK_NAMES) {
  const { onnx, input } = benchNetwork(name);
  writeFileSync(join(folder, `${name}.onnx`), onnx);
  writeFileSync(join(folder, `${name}.input.json`), JSON.stringify({ input_data: [input] }));
}
