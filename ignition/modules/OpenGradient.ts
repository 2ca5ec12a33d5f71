import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";

/** Numbers of `enum Role`. */
const ROLE = { inference: 0, data: 1, verifier: 2 };

/**
 * All contracts, in the order in which they know each other; then settlement and models may slash, nodes need their stake, attestations under one root
 * count, and ownership is offered to `owner`, who takes it by `acceptOwnership` on each. Parameters: `deploymentParameters.ts`.
 */
export default buildModule("OpenGradient", (m) => {
  const deployer = m.getAccount(0);
  const owner = m.getParameter<string>("owner");

  const opg = m.contract("OPG", [m.getParameter<string>("treasury")]);
  const staking = m.contract("NodeStaking", [opg, deployer, m.getParameter<number>("unbonding")]);
  const nodes = m.contract("NodeRegistry", [staking, deployer]);
  const settlement = m.contract("ProofSettlement", [
    opg,
    staking,
    nodes,
    deployer,
    m.getParameter("minimums"),
    m.getParameter("terms"),
  ]);
  const models = m.contract("ModelRegistry", [opg, staking, settlement, deployer, m.getParameter("zk")]);
  const zkml = m.contract("ZkmlVerifier", [models]);
  const receiptDomain = m.staticCall(settlement, "domainSeparator");
  const referee = m.contract("ZkReferee", [settlement, zkml]);
  const escrow = m.contract("InferenceEscrow", [
    opg,
    nodes,
    models,
    zkml,
    receiptDomain,
    deployer,
    m.getParameter<number>("escrowProtocolBps"),
  ]);

  const p384 = m.contract("P384Verifier");
  const sha384 = m.contract("Sha384");
  const attestation = m.contract("NitroAttestationVerifier", [
    p384,
    sha384,
    m.getParameter<string>("attestationRoot"),
    owner,
  ]);
  const teeInference = m.contract("TEEInferenceVerifier", [nodes]);
  const priceFeed = m.contract("OpgPriceFeed", [
    owner,
    m.getParameter("priceTerms"),
    m.getParameter<string[]>("priceReporters"),
  ]);
  const trusted = m.call(nodes, "addVerifier", [attestation]);

  const slashers = [settlement, models].map((slasher) =>
    m.call(staking, "setSlasher", [slasher, true], { id: `${slasher.contractName}Slashes` }),
  );
  const stakes = Object.entries(ROLE).map(([role, number]) =>
    m.call(nodes, "setMinimumStake", [number, m.getParameter<bigint>(`${role}Stake`)], { id: `${role}Stake` }),
  );

  m.call(staking, "transferOwnership", [owner], { id: "offerStaking", after: slashers });
  m.call(nodes, "transferOwnership", [owner], { id: "offerNodes", after: [...stakes, trusted] });
  m.call(models, "transferOwnership", [owner], { id: "offerModels" });
  const refereed = m.call(settlement, "setReferee", [referee]);
  m.call(settlement, "transferOwnership", [owner], { id: "offerSettlement", after: [refereed] });
  m.call(escrow, "transferOwnership", [owner], { id: "offerEscrow" });

  return {
    opg,
    staking,
    nodes,
    models,
    zkml,
    settlement,
    referee,
    escrow,
    p384,
    sha384,
    attestation,
    teeInference,
    priceFeed,
  };
});
