import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";

import OpenGradient from "./OpenGradient.ts";

/**
 * All contracts, and the shapes S, M and L as numbers 1, 2 and 3, with the keys of the development setup. These cannot be deployed to a public chain:
 * there a shape is added once the ceremony of its key is over.
 */
export default buildModule("LocalOpenGradient", (m) => {
  const contracts = m.useModule(OpenGradient);
  let last: ReturnType<typeof m.call> | undefined;
  for (const name of ["S", "M", "L"]) {
    const verifier = m.contract(`DevelopmentShape${name}`);
    last = m.call(contracts.models, "addShape", [verifier], { id: `add${name}`, after: last ? [last] : [] });
  }
  return contracts;
});
