import { existsSync, readFileSync, writeFileSync } from "node:fs";

import Table from "cli-table3";
import { Command } from "commander";

import { createWorld } from "../test/support/batches.ts";
import { deployProtocol } from "../test/support/protocol.ts";
import { OPG__factory, factories } from "../typechain-types/index.ts";
import { tick } from "./gas/clock.ts";
import { measureAttestation } from "./gas/attestationGas.ts";
import { measureEnclaves } from "./gas/enclaveGas.ts";
import { measureEscrow } from "./gas/escrowGas.ts";
import { GasMeter } from "./gas/GasMeter.ts";
import { measureModelRegistry, measureNodeRegistry, measureSeats } from "./gas/registryGas.ts";
import { measurePriceFeed } from "./gas/priceFeedGas.ts";
import { measureReferee } from "./gas/refereeGas.ts";
import { measureRsaPss } from "./gas/rsaGas.ts";
import { measureSettlement } from "./gas/settlementGas.ts";
import { measureStaking } from "./gas/stakingGas.ts";
import { TABLE, type AnchorRow } from "./gas/table.ts";
import { measureToken } from "./gas/tokenGas.ts";
import { measureZk } from "./gas/zkGas.ts";

const SNAPSHOT = new URL("../test/gas.snapshot.json", import.meta.url);

interface Snapshot {
  rows: Record<string, number>;
  functions: Record<string, number>;
}

const command = new Command("gas")
  .description(
    "Measures our contracts on an Osaka chain, whole transactions, and prints them beside the best known figures.",
  )
  .option("--json <file>", "write the table's rows as { key: gas }")
  .option("--functions", "print the gas of every external function too")
  .option("--update", "write test/gas.snapshot.json")
  .option("--check", "exit with 1 when a figure is above its snapshot, above its target, or missing");

/** Every transaction function of our contracts, by `Contract.function`. */
function transactionFunctions(): string[] {
  const ours = {
    OPG: OPG__factory,
    NodeStaking: factories.staking.NodeStaking__factory,
    NodeRegistry: factories.nodes.NodeRegistry__factory,
    ModelRegistry: factories.models.ModelRegistry__factory,
    InferenceEscrow: factories.escrow.InferenceEscrow__factory,
    ProofSettlement: factories.settlement.ProofSettlement__factory,
    ZkReferee: factories.settlement.ZkReferee__factory,
    NitroAttestationVerifier: factories.attestation.NitroAttestationVerifier__factory,
    OpgPriceFeed: factories.pricing.OpgPriceFeed__factory,
  };
  return Object.entries(ours).flatMap(([name, factory]) =>
    factory
      .createInterface()
      .fragments.filter((fragment) => fragment.type === "function" && !("constant" in fragment && fragment.constant))
      .map((fragment) => `${name}.${(fragment as unknown as { name: string }).name}`),
  );
}

async function measureAll(): Promise<{ snapshot: Snapshot; table: AnchorRow[] }> {
  const gas = new GasMeter();
  const world = await createWorld();
  await tick(world);
  const { anchor } = await measureToken(world, gas);
  await measureEscrow(world, gas);
  await measureModelRegistry(world, gas);
  await measureSeats(world, gas);
  await measureSettlement(world, gas);
  await measureNodeRegistry(world, gas);
  const fresh = await deployProtocol();
  await tick(fresh);
  await measureStaking(fresh, gas);
  await measureRsaPss(gas);
  await measureAttestation(gas);
  await measureEnclaves(gas);
  await measurePriceFeed(gas);
  await measureReferee(gas);
  await measureZk(gas);
  const table = TABLE.map((row) =>
    row.anchor?.source === "measured" ? { ...row, anchor: { ...row.anchor, gas: anchor } } : row,
  );
  return { snapshot: { rows: gas.rows, functions: gas.functions }, table };
}

/** What is wrong with `now`, one line each. */
function findings(now: Snapshot): string[] {
  const before = existsSync(SNAPSHOT) ? (JSON.parse(readFileSync(SNAPSHOT, "utf8")) as Snapshot) : undefined;
  const found: string[] = [];
  if (!before) found.push("test/gas.snapshot.json is missing: run `npm run gas -- --update` and commit it");
  for (const kind of ["rows", "functions"] as const) {
    for (const [key, gas] of Object.entries(before?.[kind] ?? {})) {
      const value = now[kind][key];
      if (value === undefined) found.push(`${key} is in the snapshot and was not measured`);
      else if (value > gas) found.push(`${key} rose from ${gas} to ${value}`);
    }
    for (const key of Object.keys(now[kind])) {
      if (before && !(key in before[kind]))
        found.push(`${key} is not in the snapshot: run \`npm run gas -- --update\``);
    }
  }
  for (const { key, target } of TABLE) {
    const gas = now.rows[key];
    if (gas === undefined) found.push(`${key} is in the table and was not measured`);
    else if (gas > target) found.push(`${key} is ${gas}, above its target ${target}`);
  }
  const measured = new Set(Object.keys(now.functions).map((name) => name.split(" ")[0]));
  for (const name of new Set(transactionFunctions())) if (!measured.has(name)) found.push(`${name} was not measured`);
  return found;
}

function print(snapshot: Snapshot, table: readonly AnchorRow[], withFunctions: boolean): void {
  const number = (gas: number | undefined) => (gas === undefined ? "–" : gas.toLocaleString("en-US"));
  const rows = new Table({
    head: ["key", "work", "best known", "gas", "ours", "target"],
    colAligns: ["left", "left", "left", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const { key, work, anchor, target } of table) {
    const source = anchor ? `${anchor.name} (${anchor.source})` : "–";
    rows.push([key, work, source, number(anchor?.gas), number(snapshot.rows[key]), number(target)]);
  }
  console.log(rows.toString());
  if (!withFunctions) return;
  const functions = new Table({
    head: ["function", "gas"],
    colAligns: ["left", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const [name, gas] of Object.entries(snapshot.functions).sort()) functions.push([name, number(gas)]);
  console.log(functions.toString());
}

const options = command.parse().opts<{ json?: string; functions?: true; update?: true; check?: true }>();
const { snapshot, table } = await measureAll();
print(snapshot, table, options.functions ?? false);
if (options.json) writeFileSync(options.json, `${JSON.stringify(snapshot.rows, null, 2)}\n`);
if (options.update) writeFileSync(SNAPSHOT, `${JSON.stringify(snapshot, null, 2)}\n`);
if (options.check) {
  const found = findings(snapshot);
  for (const line of found) console.error(line);
  console.log(found.length === 0 ? "gas: no figure rose, every target is met" : `gas: ${found.length} findings`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
