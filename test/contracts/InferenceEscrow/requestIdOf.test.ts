import { expect } from "chai";
import { ethers } from "ethers";

import { deployEscrowStage, requestOf, type EscrowRequest } from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { InferenceEscrow__factory } from "../../../typechain-types/index.ts";

const REQUEST_TUPLE = "tuple(address,address,bytes32,bytes32,bytes32,uint96,uint48,uint8,address,uint16,bytes32)";

describe("InferenceEscrow.requestIdOf", () => {
  const state = freshState(deployEscrowStage);

  it("requestIdOf_isTheHashOfChainEscrowAndRequest", async () => {
    const stage = state();
    const request = await requestOf(stage);
    const { chainId } = await stage.connection.ethers.provider.getNetwork();
    const encoded = ethers.AbiCoder.defaultAbiCoder().encode(
      ["uint256", "address", REQUEST_TUPLE],
      [chainId, await stage.escrow.getAddress(), Object.values(request)],
    );
    expect(await stage.escrow.requestIdOf(request)).to.equal(ethers.keccak256(encoded));
  });

  it("requestIdOf_anyFieldChanged_isAnother", async () => {
    const stage = state();
    const request = await requestOf(stage);
    const changes: Partial<EscrowRequest>[] = [
      { payer: stage.stranger.address },
      { operator: stage.stranger.address },
      { modelId: ethers.id("x") },
      { inputHash: ethers.id("x") },
      { inputBlobId: ethers.id("x") },
      { maxFee: request.maxFee + 1n },
      { deadline: request.deadline + 1n },
      { mode: 2 },
      { royaltyTo: stage.stranger.address },
      { royaltyBps: 1 },
      { salt: ethers.id("x") },
    ];
    const ids = [request, ...changes.map((change) => ({ ...request, ...change }))].map((each) =>
      stage.escrow.requestIdOf(each),
    );
    expect(new Set(await Promise.all(ids)).size).to.equal(Object.keys(request).length + 1);
  });

  it("requestIdOf_inAnotherEscrow_isAnother", async () => {
    const stage = state();
    const { opg, nodes, models, zkml, escrow, owner } = stage;
    const domain = await escrow.receiptDomain();
    const twin = await new InferenceEscrow__factory(owner).deploy(opg, nodes, models, zkml, domain, owner, 0);
    const request = await requestOf(stage);
    expect(await twin.requestIdOf(request)).not.to.equal(await escrow.requestIdOf(request));
  });
});
