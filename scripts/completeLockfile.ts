// Completes package-lock.json after `npm install`, so that `npm ci` works with any npm 11, whatever Node runs it.
//
// 1. npm skips an optional package whose `engines` exclude the Node that runs npm. Here every script runs on the pinned Node 24
//    of node_modules/.bin, so the lock file drops `engines` of optional packages: Hardhat's native part is one of them.
// 2. npm leaves out optional packages that the registry in use does not carry (a mirror without the macOS builds, say), and
//    `npm ci` then calls the lock file out of sync. An entry without an integrity hash is enough: only its own platform fetches it.
import { readFileSync, writeFileSync } from "node:fs";

interface LockedPackage {
  version?: string;
  optional?: boolean;
  dev?: boolean;
  engines?: Record<string, string>;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockedPackage> };
const namedIn = (name: string, values: string[]) => values.filter((value) => name.split("-").includes(value));

for (const entry of Object.values(lock.packages)) {
  if (entry.optional) delete entry.engines;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    const exact = /^\d+\.\d+\.\d+$/.test(version);
    if (!exact || Object.keys(lock.packages).some((known) => known.endsWith(path))) continue;
    lock.packages[path] = {
      version,
      cpu: namedIn(name, ["arm64", "x64"]),
      dev: true,
      ...(name.includes("linux") && { libc: [name.endsWith("musl") ? "musl" : "glibc"] }),
      optional: true,
      os: namedIn(name, ["darwin", "linux", "win32"]),
    };
    console.log(`added ${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
