import { expect } from "chai";
import { TypedDataEncoder, ZeroAddress } from "ethers";

import { PROTOCOL_BPS } from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { domainOf } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";
import { InferenceEscrow__factory } from "../../../typechain-types/index.ts";

describe("InferenceEscrow constructor", () => {
  const state = freshState(deployStage);

  const deploy = async (
    { opg, nodes, models, zkml, escrow, owner }: Stage,
    protocolBps: number,
    admin = owner.address,
  ) =>
    new InferenceEscrow__factory(owner).deploy(
      opg,
      nodes,
      models,
      zkml,
      await escrow.receiptDomain(),
      admin,
      protocolBps,
    );

  it("constructor_settings_areStored", async () => {
    const { escrow, opg, nodes, models, zkml, owner } = state();
    expect(await escrow.token()).to.equal(opg);
    expect(await escrow.nodes()).to.equal(nodes);
    expect(await escrow.models()).to.equal(models);
    expect(await escrow.proofs()).to.equal(zkml);
    expect(await escrow.owner()).to.equal(owner);
    expect(await escrow.protocolBps()).to.equal(PROTOCOL_BPS);
  });

  it("constructor_receiptDomain_isTheSettlements", async () => {
    const { escrow, settlement } = state();
    expect(await escrow.receiptDomain()).to.equal(TypedDataEncoder.hashDomain(await domainOf(settlement)));
  });

  it("constructor_protocolFeeAboveATenth_reverts", async () => {
    const stage = state();
    await expect(deploy(stage, 1_001))
      .to.be.revertedWithCustomError(stage.escrow, "ProtocolFeeTooHigh")
      .withArgs(1_001, 1_000);
    expect(await (await deploy(stage, 1_000)).protocolBps()).to.equal(1_000n);
  });

  it("constructor_zeroOwner_reverts", async () => {
    const stage = state();
    await expect(deploy(stage, 0, ZeroAddress))
      .to.be.revertedWithCustomError(stage.escrow, "OwnableInvalidOwner")
      .withArgs(ZeroAddress);
  });
});
