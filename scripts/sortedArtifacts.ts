import { definePlugin } from "hardhat/plugins";

/** Contracts of npm packages that are built here only to be deployed: nobody needs bindings, and their paths would move those of our own. */
const OF_PACKAGES = /[\\/]artifacts[\\/]@/;

/**
 * Hands artifacts to typechain in the order of their paths, without those of npm packages. Hardhat lists them as its concurrent directory reads come
 * back, and typechain writes its indexes in the order of that list: without this, two builds of the same sources differ. Has to stand before the
 * toolbox in `plugins`.
 */
export const sortedArtifacts = definePlugin({
  id: "opengradient-sorted-artifacts",
  hookHandlers: {
    solidity: () =>
      Promise.resolve({
        default: () =>
          Promise.resolve({
            processArtifactsAfterSuccessfulBuild(_context, artifactPaths) {
              // every handler gets this one array: there is no other way to pass a choice and an order on
              const own = artifactPaths.filter((path) => !OF_PACKAGES.test(path)).sort();
              (artifactPaths as string[]).splice(0, artifactPaths.length, ...own);
              return Promise.resolve();
            },
          }),
      }),
  },
});
