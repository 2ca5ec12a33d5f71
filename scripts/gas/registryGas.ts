import { ethers } from "ethers";

import { opgWei, Role, seatConsent, signerConsent, testKey, type Protocol } from "../../test/support/protocol.ts";
import type { GasMeter } from "./GasMeter.ts";

const FOREVER = 2 ** 40 - 1;

/** Every function of NodeRegistry. */
export async function measureNodeRegistry({ nodes, staking, accounts }: Protocol, gas: GasMeter): Promise<void> {
  const operator = accounts[6]!;
  const registry = nodes.connect(operator);
  await staking.connect(operator).stake(Role.Data, opgWei(10));
  await gas.measure("NodeRegistry.setMinimumStake", nodes.setMinimumStake(Role.Data, opgWei(10)));
  const registered = registry.register(Role.Data, operator, "https://data-1.example.org");
  await gas.measure("NodeRegistry.register", registered);
  const nodeId = (await (await registered).wait())!.logs[0]!.topics[1]!;
  await gas.measure("NodeRegistry.update", registry.update(nodeId, operator, "https://data-2.example.org"));
  for (const [name, key] of [
    ["NodeRegistry.addSigner (first)", testKey(60)],
    ["NodeRegistry.addSigner", testKey(61)],
  ] as const) {
    const consent = await signerConsent(nodes, nodeId, await operator.getAddress(), key, FOREVER);
    await gas.measure(name, registry.addSigner(nodeId, key, FOREVER, consent));
  }
  await gas.measure("NodeRegistry.revokeSigner", registry.revokeSigner(testKey(60)));
  await gas.measure("NodeRegistry.disable", registry.disable(nodeId));
  await gas.measure("NodeRegistry.enable", registry.enable(nodeId));
  await gas.measure("NodeRegistry.transferOwnership", nodes.transferOwnership(operator));
  await gas.measure("NodeRegistry.acceptOwnership", registry.acceptOwnership());
  await gas.measure("NodeRegistry.renounceOwnership", registry.renounceOwnership());
}

/** Every function of ModelRegistry. */
export async function measureModelRegistry({ models, accounts }: Protocol, gas: GasMeter): Promise<void> {
  const [owner, heir] = [accounts[7]!, accounts[8]!];
  const registry = models.connect(owner);
  await gas.measure(
    "ModelRegistry.createRepository",
    registry.createRepository("liquidation-risk", "MIT", "https://example.org/liquidation-risk.json"),
  );
  const repositoryId = await models.repositoryCount();
  const terms = {
    contentHash: ethers.id("content"),
    blobId: ethers.id("blob"),
    price: 10n ** 15n,
    royaltyBps: 500,
    modes: 1,
  };
  await gas.measure("ModelRegistry.publishVersion", registry.publishVersion(repositoryId, terms));
  const modelId = await models.modelIdOf(repositoryId, 1);
  await gas.measure("ModelRegistry.assignRoyalty", registry.assignRoyalty(modelId, heir));
  await gas.measure("ModelRegistry.offerOwnership", registry.offerOwnership(repositoryId, heir));
  await gas.measure("ModelRegistry.acceptOwnership", models.connect(heir)["acceptOwnership(uint256)"](repositoryId));
}

/** The seats of ProofSettlement; leaves the set as it was. */
export async function measureSeats({ settlement, staking, accounts }: Protocol, gas: GasMeter): Promise<void> {
  const verifier = accounts[15]!;
  const seat = (await settlement.seats()).length;
  await staking.connect(verifier).stake(Role.Verifier, opgWei(2_000));
  const address = await verifier.getAddress();
  const first = await seatConsent(settlement, seat, address, testKey(70));
  await gas.measure("ProofSettlement.takeSeat", settlement.connect(verifier).takeSeat(seat, testKey(70), first));
  const next = await seatConsent(settlement, seat, address, testKey(71));
  await gas.measure(
    "ProofSettlement.changeSeatSigner",
    settlement.connect(verifier).changeSeatSigner(testKey(71), next),
  );
  await gas.measure("ProofSettlement.vacateSeat", settlement.connect(verifier).vacateSeat(seat));
}
