import type { NetworkConnection } from "hardhat/types/network";

/**
 * Deploys once for a suite and gives every test that same state: call it in `describe`, and the function it returns in a test.
 *
 * @example
 * const state = freshState(deployProtocol);
 * it("…", async () => { const { opg } = state(); });
 */
export function freshState<T extends { connection: NetworkConnection }>(deploy: () => Promise<T>): () => T {
  let state: T | undefined;
  let restore: (() => Promise<void>) | undefined;

  before(async () => {
    state = await deploy();
    const snapshot = await state.connection.networkHelpers.takeSnapshot();
    restore = async () => {
      await snapshot.restore();
      // the clock has gone on since; the snapshot's last block has not
      await state!.connection.networkHelpers.mine();
    };
  });
  afterEach(() => restore?.());
  after(() => state?.connection.close());

  return () => {
    if (state === undefined) throw new Error("freshState: used outside a test");
    return state;
  };
}
