import { writeFileSync } from "node:fs";

import { Command } from "commander";
import { pino } from "pino";

import { httpUrl, privateKey, wholeNumber } from "./options.ts";

interface SimOptions {
  requests: number;
  verifiers: number;
  concurrency: number;
  seed: number;
  json?: string;
  keepAlive?: true;
  rpc?: string;
  privateKey?: `0x${string}`;
  logLevel: string;
}

export function simCommand(): Command {
  return new Command("sim")
    .description(
      "Runs the whole network: deploys, starts every actor, sends paid requests, settles them, catches a liar, refunds an expired request.",
    )
    .option("--requests <n>", "requests to send over HTTP", wholeNumber(10, 100_000), 100)
    .option("--verifiers <n>", "verifier nodes to run", wholeNumber(4, 40), 4)
    .option("--concurrency <n>", "requests under way at once", wholeNumber(1, 256), 8)
    .option("--seed <n>", "makes keys, prompts and positions", wholeNumber(0, 2 ** 31), 1)
    .option("--json <file>", "write the report as JSON")
    .option("--keep-alive", "leave chain, nodes and gateway up and print their URLs")
    .option("--rpc <url>", "use a running chain instead of the embedded one", httpUrl)
    .option(
      "--private-key <key>",
      "account that pays for everything on the chain of --rpc; default: the first development account",
      privateKey,
    )
    .option("--log-level <level>", "of the actors' logs on stderr: trace, debug, info, warn, error, silent", "silent")
    .action(async (options: SimOptions) => {
      // Loaded here, because it is a second's work that other commands need not wait for.
      const { renderReport, summaryOf } = await import("../scenarios/report.ts");
      const { runSimulation } = await import("../scenarios/runSimulation.ts");
      const logger = pino({ level: options.logLevel }, pino.destination(2));
      const { json } = options;
      const simulation = await runSimulation({ ...options, logger });
      console.log(renderReport(simulation.report));
      if (json) writeFileSync(json, `${JSON.stringify(summaryOf(simulation.report), null, 2)}\n`);
      if (simulation.report.invariants.some(({ ok }) => !ok)) process.exitCode = 1;
      if (options.keepAlive) {
        console.log(simulation.network.handles.map(([name, value]) => `${name.padEnd(12)} ${value}`).join("\n"));
        console.log("Press Ctrl-C to end.");
        await new Promise((resolve) => process.once("SIGINT", resolve));
      }
      await simulation.stop();
    });
}
