import { Command } from "commander";

import { ceremonyCommand } from "./ceremonyCommand.ts";
import { checkModelCommand } from "./checkModelCommand.ts";
import { importCommand } from "./importCommand.ts";
import { proveCommand } from "./proveCommand.ts";
import { registerCommand } from "./registerCommand.ts";
import { setupCommand } from "./setupCommand.ts";
import { verifyCommand } from "./verifyCommand.ts";

export function zkCommand(): Command {
  return new Command("zk")
    .description("Proves answers of ONNX models, and checks proofs and models, with a chain or without.")
    .addCommand(setupCommand())
    .addCommand(ceremonyCommand())
    .addCommand(importCommand())
    .addCommand(proveCommand())
    .addCommand(verifyCommand())
    .addCommand(registerCommand())
    .addCommand(checkModelCommand());
}
