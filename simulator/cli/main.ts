import { Command } from "commander";

import { facilitatorCommand } from "./facilitator/facilitatorCommand.ts";
import { simCommand } from "./simCommand.ts";
import { verifyAttestationCommand } from "./verifyAttestationCommand.ts";
import { zkCommand } from "./zk/zkCommand.ts";

const program = new Command("opengradient")
  .description("Simulator of the OpenGradient network")
  .addCommand(simCommand())
  .addCommand(facilitatorCommand())
  .addCommand(verifyAttestationCommand())
  .addCommand(zkCommand())
  .showHelpAfterError("(add --help for the options)");

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
