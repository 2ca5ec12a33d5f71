import { definePlugin } from "hardhat/plugins";

/**
 * Hands artifacts to typechain in the order of their paths. Hardhat lists them as its concurrent directory reads come back, and typechain writes
 * its indexes in the order of that list: without this, two builds of the same sources differ. Has to stand before the toolbox in `plugins`.
 */
export const sortedArtifacts = definePlugin({
  id: "opengradient-sorted-artifacts",
  hookHandlers: {
    solidity: () =>
      Promise.resolve({
        default: () =>
          Promise.resolve({
            processArtifactsAfterSuccessfulBuild(_context, artifactPaths) {
              // every handler gets this one array: there is no other way to pass an order on
              (artifactPaths as string[]).sort();
              return Promise.resolve();
            },
          }),
      }),
  },
});
