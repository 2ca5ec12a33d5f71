import { readFile } from "node:fs/promises";

import { getAddress, keccak256 } from "ethers";
import { z } from "zod";

import { devAccounts } from "../simulator/chain/devAccounts.ts";

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, "expected an address")
  .transform((text) => getAddress(text.toLowerCase()));

/** Wei of OPG. Ignition writes big numbers as "1000n", address books as "1000". */
const wei = z
  .union([z.bigint(), z.string().regex(/^[0-9]+n?$/, "expected a whole number")])
  .transform((amount) => (typeof amount === "bigint" ? amount : BigInt(amount.replace("n", ""))));

const bytes = z.string().regex(/^0x([0-9a-f]{2})+$/, "expected bytes in lower-case hex");
const seconds = z.int().positive();
const basisPoints = z.int().min(0).max(10_000);

/** Parameters of ignition/modules/OpenGradient.ts. What each means is said where the contracts take it. */
export const deploymentParametersSchema = z.strictObject({
  /** The only chain these parameters are for. */
  chainId: z.int().positive(),
  /** Is offered the ownership of all contracts. */
  owner: address,
  /** Receives the supply of OPG. */
  treasury: address,
  /** NodeStaking. */
  unbonding: seconds,
  /** NodeRegistry: least active stake of a node, by role. */
  inferenceStake: wei,
  dataStake: wei,
  verifierStake: wei,
  /** ProofSettlement. */
  minimums: z.strictObject({ operatorStake: wei, seatStake: wei, seats: z.int().positive() }),
  /** FeeSchedule. */
  terms: z.strictObject({
    protocolBps: basisPoints,
    verifierBps: basisPoints,
    maxRoyaltyBps: basisPoints,
    rewardBps: basisPoints,
    voterSlashBps: basisPoints,
    window: seconds,
    accountability: seconds,
    receiptDeadline: seconds,
    bond: z.int().min(0),
    submitterSlash: z.int().min(0),
  }),
  /** ModelRegistry: how commitments of zk models are vouched for. */
  zk: z.strictObject({
    bond: wei,
    accountability: seconds,
    withdrawalDelay: seconds,
    rewardBps: basisPoints,
    voterSlashBps: basisPoints,
  }),
  escrowProtocolBps: basisPoints,
  /** NitroAttestationVerifier: the root certificate, DER. AWS's on public chains. */
  attestationRoot: bytes,
  /** OpgPriceFeed. Without reporters it is closed until the owner adds some. */
  priceTerms: z.strictObject({
    quorum: z.int().min(3).max(15),
    maxAge: seconds,
    maxSpreadBps: basisPoints,
    maxStepBps: basisPoints,
  }),
  priceReporters: z.array(address).max(15),
});

export type DeploymentParameters = z.output<typeof deploymentParametersSchema>;

/** Deploying with these parameters would be a mistake. */
export class UnsafeParametersError extends Error {
  override readonly name = "UnsafeParametersError";
  readonly code = "unsafe_parameters";
  readonly problems: readonly string[];

  constructor(chainId: number, problems: readonly string[]) {
    super(`Parameters not fit for chain ${chainId}:\n${problems.map((problem) => `- ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

const LOCAL_CHAIN_ID = 31337;
const HOUR = 3_600;
const DAY = 24 * HOUR;
const ZERO_ADDRESS = "0x0000000000000000000000000000000000000000";
const OPG = 10n ** 18n;
/** keccak256 of AWS Nitro Enclaves' Root-G1, whose SHA-256 fingerprint AWS publishes: 641a0321a3e244ef…8f79bb5b. */
const AWS_ROOT = "0x311d96fcd5c5e0ccf72ef548e2ea7d4c0cd53ad7c4cc49e67471aed41d61f185";

/** Where the parameters of a network of hardhat.config.ts are. */
export const parametersFile = (network: string): URL => new URL(`./parameters/${network}.json`, import.meta.url);

/** Reads a parameter file of Ignition. @throws ZodError naming what is missing or wrong. */
export async function readDeploymentParameters(file: string | URL): Promise<DeploymentParameters> {
  const { OpenGradient } = z
    .object({ OpenGradient: deploymentParametersSchema })
    .parse(JSON.parse(await readFile(file, "utf8")));
  return OpenGradient;
}

/**
 * Checks what the contracts cannot: that parameters are for this chain, and that a public chain does not get those of a local one: owners whose keys
 * everybody knows, times too short to answer, stakes too small to lose.
 * @throws UnsafeParametersError
 */
export function checkDeploymentParameters(parameters: DeploymentParameters, chainId: number): void {
  const problems = [
    [parameters.chainId === chainId, `they are for chain ${parameters.chainId}`],
    ...(chainId === LOCAL_CHAIN_ID ? [] : publicRules(parameters)),
  ] as const;
  const broken = problems.filter(([holds]) => !holds).map(([, problem]) => problem);
  if (broken.length > 0) throw new UnsafeParametersError(chainId, broken);
}

function publicRules(parameters: DeploymentParameters): [holds: boolean, problem: string][] {
  const { owner, treasury, unbonding, minimums, terms, zk, priceReporters } = parameters;
  const known = new Set<string>(devAccounts().map((account) => getAddress(account.address)));
  const stakes = [
    parameters.inferenceStake,
    parameters.verifierStake,
    minimums.operatorStake,
    minimums.seatStake,
    zk.bond,
  ];
  return [
    [owner !== ZERO_ADDRESS, "`owner` is not set: put the address that shall govern the contracts"],
    [treasury !== ZERO_ADDRESS, "`treasury` is not set: put the address that shall receive the supply"],
    [!known.has(owner), "`owner` is a development account, whose key everybody knows"],
    [!known.has(treasury), "`treasury` is a development account, whose key everybody knows"],
    [
      !priceReporters.some((reporter) => known.has(reporter)),
      "one of `priceReporters` is a development account, whose key everybody knows",
    ],
    [unbonding >= 7 * DAY, `\`unbonding\` is ${unbonding} s: expected 7 days or more`],
    [terms.window >= HOUR, `\`terms.window\` is ${terms.window} s: expected an hour or more`],
    [terms.accountability >= DAY, `\`terms.accountability\` is ${terms.accountability} s: expected a day or more`],
    [zk.accountability >= DAY, `\`zk.accountability\` is ${zk.accountability} s: expected a day or more`],
    [minimums.seats >= 4, `\`minimums.seats\` is ${minimums.seats}: expected four verifiers or more`],
    [keccak256(parameters.attestationRoot) === AWS_ROOT, "`attestationRoot` is not AWS's: expected Root-G1"],
    [stakes.every((stake) => stake >= OPG), "a stake or bond is below one OPG: nobody would lose anything"],
    [
      minimums.operatorStake >= BigInt(terms.submitterSlash) * OPG,
      "`minimums.operatorStake` does not cover `terms.submitterSlash`",
    ],
  ];
}
