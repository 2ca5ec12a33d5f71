import { getAddress, keccak256 } from "ethers";

import type { DeploymentParameters } from "../../ignition/deploymentParameters.ts";
import type { Contracts } from "./contracts.ts";

/** The contracts on chain are not what the address book or the parameters say. */
export class DeploymentMismatchError extends Error {
  override readonly name = "DeploymentMismatchError";
  readonly code = "deployment_mismatch";
  readonly differences: readonly string[];

  constructor(differences: readonly string[]) {
    super(
      `The contracts on chain differ from what was expected:\n${differences.map((line) => `- ${line}`).join("\n")}`,
    );
    this.differences = differences;
  }
}

/**
 * Checks on chain that a fresh deployment is wired together and set up as its parameters say. Later, governance may have changed terms, stakes and
 * owners: then it differs, and should.
 * @throws DeploymentMismatchError
 */
export async function checkDeployment(contracts: Contracts, parameters: DeploymentParameters): Promise<void> {
  const { opg, staking, nodes, models, zkml, settlement, referee, escrow, attestation, teeInference, priceFeed } =
    contracts;
  const [opgAddress, stakingAddress, nodesAddress, modelsAddress, zkmlAddress, settlementAddress] = await Promise.all(
    [opg, staking, nodes, models, zkml, settlement].map(async (contract) => getAddress(await contract.getAddress())),
  );
  const { minimums, terms, zk, priceTerms } = parameters;
  const deployedTerms = await settlement.terms(1);
  const checks: [what: string, found: Promise<unknown>, expected: unknown][] = [
    ["NodeStaking.token", staking.token(), opgAddress],
    ["NodeStaking.unbonding", staking.unbonding(), BigInt(parameters.unbonding)],
    ["NodeStaking.isSlasher(ProofSettlement)", staking.isSlasher(settlement), true],
    ["NodeStaking.isSlasher(ModelRegistry)", staking.isSlasher(models), true],
    ["ModelRegistry.token", models.token(), opgAddress],
    ["ModelRegistry.staking", models.staking(), stakingAddress],
    ["ModelRegistry.verifierSets", models.verifierSets(), settlementAddress],
    [
      "ModelRegistry.zkTerms",
      models.zkTerms().then((found) => found.join()),
      [zk.bond, zk.accountability, zk.withdrawalDelay, zk.rewardBps, zk.voterSlashBps].join(),
    ],
    ["ZkmlVerifier.registry", zkml.registry(), modelsAddress],
    ["NodeRegistry.staking", nodes.staking(), stakingAddress],
    ["NodeRegistry.minimumStake(Inference)", nodes.minimumStake(0), parameters.inferenceStake],
    ["NodeRegistry.minimumStake(Data)", nodes.minimumStake(1), parameters.dataStake],
    ["NodeRegistry.minimumStake(Verifier)", nodes.minimumStake(2), parameters.verifierStake],
    ["ProofSettlement.token", settlement.token(), opgAddress],
    ["ProofSettlement.staking", settlement.staking(), stakingAddress],
    ["ProofSettlement.registry", settlement.registry(), nodesAddress],
    ["ProofSettlement.minOperatorStake", settlement.minOperatorStake(), minimums.operatorStake],
    ["ProofSettlement.minSeatStake", settlement.minSeatStake(), minimums.seatStake],
    ["ProofSettlement.minSeats", settlement.minSeats(), BigInt(minimums.seats)],
    ...Object.entries(terms).map(([name, expected]): [string, Promise<unknown>, unknown] => [
      `ProofSettlement.terms(1).${name}`,
      Promise.resolve(deployedTerms[name as keyof typeof terms]),
      BigInt(expected),
    ]),
    ["ProofSettlement.referee", settlement.referee(), getAddress(await referee.getAddress())],
    ["ZkReferee.settlement", referee.settlement(), settlementAddress],
    ["ZkReferee.verifier", referee.verifier(), zkmlAddress],
    ["InferenceEscrow.token", escrow.token(), opgAddress],
    ["InferenceEscrow.nodes", escrow.nodes(), nodesAddress],
    ["InferenceEscrow.models", escrow.models(), modelsAddress],
    ["InferenceEscrow.proofs", escrow.proofs(), zkmlAddress],
    ["InferenceEscrow.receiptDomain", escrow.receiptDomain(), await settlement.domainSeparator()],
    ["InferenceEscrow.protocolBps", escrow.protocolBps(), BigInt(parameters.escrowProtocolBps)],
    ["NitroAttestationVerifier.root", attestation.root(), keccak256(parameters.attestationRoot)],
    [
      "NodeRegistry.verifiers",
      nodes.verifiers().then((list) => list.map(({ verifier }) => verifier).join()),
      getAddress(await attestation.getAddress()),
    ],
    ["TEEInferenceVerifier.registry", teeInference.registry(), nodesAddress],
    [
      "OpgPriceFeed.terms",
      priceFeed.terms().then((found) => found.join()),
      [priceTerms.quorum, priceTerms.maxAge, priceTerms.maxSpreadBps, priceTerms.maxStepBps].join(),
    ],
    [
      "OpgPriceFeed reporters",
      priceFeed.observations().then((list) => list.map(({ reporter }) => reporter).join()),
      parameters.priceReporters.join(),
    ],
    ...Object.entries({
      NitroAttestationVerifier: attestation,
      OpgPriceFeed: priceFeed,
      NodeStaking: staking,
      NodeRegistry: nodes,
      ModelRegistry: models,
      ProofSettlement: settlement,
      InferenceEscrow: escrow,
    }).map(([name, contract]): [string, Promise<unknown>, unknown] => [
      `${name}.pendingOwner or owner`,
      Promise.all([contract.pendingOwner(), contract.owner()]).then(([pending, owner]) =>
        BigInt(pending) === 0n ? owner : pending,
      ),
      getAddress(parameters.owner),
    ]),
  ];
  const found = await Promise.all(checks.map(([, value]) => value));
  const differences = checks.flatMap(([what, , expected], i) =>
    found[i] === expected ? [] : [`${what} is ${String(found[i])}, expected ${String(expected)}`],
  );
  if (differences.length > 0) throw new DeploymentMismatchError(differences);
}
