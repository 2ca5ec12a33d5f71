import { existsSync, readFileSync } from "node:fs";

/** Real attestation documents of AWS hardware, which are not part of this repository. */
const FOLDER = new URL("../../../shared/vectors/nitro/", import.meta.url);

export const hasNitroVectors = existsSync(FOLDER);

export const NO_VECTORS = "needs the real documents of ../shared/vectors/nitro";

/** @param name without its suffix. */
export const nitroVector = (name: string): Buffer => readFileSync(new URL(`${name}.bin`, FOLDER));
