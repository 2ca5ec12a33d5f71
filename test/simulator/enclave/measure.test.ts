import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect } from "chai";
import { solidityPackedKeccak256 } from "ethers";

import { measureCode, MeasurementError, pcrHashOf } from "../../../simulator/enclave/measure.ts";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));

describe("measureCode", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "measure-"));
    for (const path of ["simulator/nodes", "simulator/enclave", "package-lock.json"]) {
      cpSync(join(REPOSITORY, path), join(root, path), { recursive: true });
    }
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const measure = (application = "llm-proxy") => measureCode({ application, root, directories: ["simulator"] });
  /** Which registers something changes. */
  const changedBy = (change: () => void): string[] => {
    const before = measure();
    change();
    const after = measure();
    return (["pcr0", "pcr1", "pcr2"] as const).filter((pcr) => !before[pcr].equals(after[pcr]));
  };
  const node = () => join(root, "simulator/nodes/LlmProxyNode.ts");

  it("is the same each time, and three registers of 48 bytes", () => {
    const first = measure();
    expect(measure()).to.deep.equal(first);
    const registers = [first.pcr0, first.pcr1, first.pcr2];
    expect(registers.map(({ length }) => length)).to.deep.equal([48, 48, 48]);
    expect(new Set(registers.map((pcr) => pcr.toString("hex")))).to.have.lengthOf(3);
  });

  it("measures the code of this repository, the one that runs", () => {
    const running = measureCode({ application: "llm-proxy" });
    expect(running).to.deep.equal(measureCode({ application: "llm-proxy", root: REPOSITORY }));
    expect(running.pcr1).to.deep.equal(measure().pcr1);
    expect(running.pcr2).not.to.deep.equal(measure().pcr2);
  });

  it("changes with one byte of the node's code", () => {
    expect(changedBy(() => appendFileSync(node(), " "))).to.deep.equal(["pcr0", "pcr2"]);
  });

  it("changes with every single file, whatever its kind", () => {
    const folder = join(root, "simulator/nodes");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files).not.to.have.lengthOf(0);
    for (const { name, parentPath } of files) {
      expect(
        changedBy(() => appendFileSync(join(parentPath, name), "\n")),
        name,
      ).to.deep.equal(["pcr0", "pcr2"]);
    }
    expect(changedBy(() => writeFileSync(join(folder, ".hidden"), ""))).to.deep.equal(["pcr0", "pcr2"]);
  });

  it("changes with a file's name, and with which file has which content", () => {
    expect(changedBy(() => renameSync(node(), `${node()}x`))).to.deep.equal(["pcr0", "pcr2"]);
    const [a, b] = ["a.ts", "b.ts"].map((name) => join(root, "simulator", name)) as [string, string];
    writeFileSync(a, "1");
    writeFileSync(b, "2");
    expect(
      changedBy(() => {
        writeFileSync(a, "2");
        writeFileSync(b, "1");
      }),
    ).to.deep.equal(["pcr0", "pcr2"]);
  });

  it("tells apart what only looks the same when joined", () => {
    const folder = join(root, "simulator/nodes");
    writeFileSync(join(folder, "zz"), "ab");
    expect(
      changedBy(() => {
        rmSync(join(folder, "zz"));
        writeFileSync(join(folder, "zza"), "b");
      }),
    ).to.deep.equal(["pcr0", "pcr2"]);
  });

  it("changes with the libraries and with Node, which are what boots", () => {
    expect(changedBy(() => appendFileSync(join(root, "package-lock.json"), " "))).to.deep.equal(["pcr0", "pcr1"]);
    const other = measureCode({ application: "llm-proxy", root, directories: ["simulator"], nodeVersion: "v1.2.3" });
    expect(other.pcr1).not.to.deep.equal(measure().pcr1);
    expect(other.pcr2).to.deep.equal(measure().pcr2);
  });

  it("tells applications apart", () => {
    const [proxy, local] = [measure("llm-proxy"), measure("local-inference")];
    expect(proxy.pcr1).to.deep.equal(local.pcr1);
    expect(proxy.pcr2).not.to.deep.equal(local.pcr2);
    expect(pcrHashOf(proxy)).not.to.equal(pcrHashOf(local));
  });

  it("does not depend on the order in which a folder is read, nor on a locale", () => {
    const names = ["B.ts", "a.ts", "ä.ts", "a/b.ts", "a-b.ts"];
    const write = (order: string[]) => {
      const folder = join(root, "ordered");
      rmSync(folder, { recursive: true, force: true });
      for (const name of order) {
        mkdirSync(join(folder, name, ".."), { recursive: true });
        writeFileSync(join(folder, name), name);
      }
      return measureCode({ application: "x", root, directories: ["ordered"] });
    };
    expect(write(names)).to.deep.equal(write([...names].reverse()));
  });

  it("follows AWS's rule", () => {
    const framed = (...parts: (string | Buffer)[]) =>
      Buffer.concat(
        parts.map((part) => {
          const length = Buffer.alloc(8);
          length.writeBigUInt64BE(BigInt(Buffer.byteLength(part)));
          return Buffer.concat([length, Buffer.from(part)]);
        }),
      );
    const sha384 = (data: Buffer) => createHash("sha384").update(data).digest();
    writeFileSync(join(root, "package-lock.json"), "{}");
    const content = framed("node", process.version, "package-lock.json", "{}");
    expect(measure().pcr1).to.deep.equal(sha384(Buffer.concat([Buffer.alloc(48), sha384(content)])));
  });

  it("refuses a link, whose target could change unmeasured", () => {
    symlinkSync(node(), join(root, "simulator/link.ts"));
    expect(() => measure()).to.throw(MeasurementError, "simulator/link.ts");
  });

  it("has the hash by which a registry approves it", () => {
    const { pcr0, pcr1, pcr2 } = measure();
    const expected = solidityPackedKeccak256(["bytes", "bytes", "bytes"], [pcr0, pcr1, pcr2]);
    expect(pcrHashOf({ pcr0, pcr1, pcr2 })).to.equal(expected);
  });
});
