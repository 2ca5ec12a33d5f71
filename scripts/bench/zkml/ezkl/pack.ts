/** Takes what `compile.py` has made into this folder, compressed: `tsx scripts/bench/zkml/ezkl/pack.ts FOLDER`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

import { NETWORK_NAMES } from "../networks.ts";

const folder = process.argv[2];
if (folder === undefined) throw new TypeError("Expected the folder that compile.py has written to");
for (const name of NETWORK_NAMES) {
  const compiled = readFileSync(join(folder, `${name}.compiled`));
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  const settings = JSON.parse(readFileSync(join(folder, `${name}.settings.json`), "utf8")) as Record<string, unknown>;
  // the same bytes each time
  delete settings["timestamp"];
  writeFileSync(new URL(`${name}.compiled.br`, import.meta.url), brotliCompressSync(compiled, { params }));
  writeFileSync(new URL(`${name}.settings.json`, import.meta.url), `${JSON.stringify(settings, null, 2)}\n`);
}
