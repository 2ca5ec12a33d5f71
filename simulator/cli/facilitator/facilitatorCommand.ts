import { Command } from "commander";
import { deadLettersCommand, retryCommand } from "./deadLetterCommands.ts";
import { runCommand } from "./runCommand.ts";

const EXAMPLES = `
Examples:
  $ FACILITATOR_PRIVATE_KEY=0x… npm run facilitator -- --rpc https://mainnet.base.org --store sqlite:payments.db
  $ npm run facilitator -- --rpc http://127.0.0.1:8545 --store postgres://facilitator@db/payments   several may share it, each with its key
  $ npm run facilitator -- dead-letters --store sqlite:payments.db
  $ npm run facilitator -- retry eip155:8453/0x…/0x…/0x… --store sqlite:payments.db`;

export function facilitatorCommand(): Command {
  const run = runCommand();
  return new Command("facilitator")
    .description(
      "An x402 facilitator over HTTP: verifies and settles payments, publishes what operators report, relays heartbeats.",
    )
    .addCommand(run, { isDefault: true })
    .addCommand(deadLettersCommand())
    .addCommand(retryCommand())
    .addHelpText("after", () => `\n${run.createHelp().formatHelp(run, run.createHelp())}${EXAMPLES}`);
}
