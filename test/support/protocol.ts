import { ethers, type BaseWallet, type Signer } from "ethers";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import {
  InferenceEscrow__factory,
  ModelRegistry__factory,
  NodeRegistry__factory,
  NodeStaking__factory,
  OPG__factory,
  ProofSettlement__factory,
  ZkmlVerifier__factory,
  ZkReferee__factory,
  type InferenceEscrow,
  type ModelRegistry,
  type NodeRegistry,
  type NodeStaking,
  type OPG,
  type ProofSettlement,
  type ZkmlVerifier,
  type ZkReferee,
} from "../../typechain-types/index.ts";

export const DAY = 86_400;
export const HOUR = 3_600;
export const UNBONDING_SECONDS = 7 * DAY;
export const Role = { Inference: 0, Data: 1, Verifier: 2 } as const;
export const ALL_MODES = 5;

/** The settlement terms every contract test starts from. */
export const TERMS = {
  protocolBps: 100,
  verifierBps: 150,
  maxRoyaltyBps: 2_000,
  rewardBps: 2_000,
  voterSlashBps: 1_000,
  window: 4 * HOUR,
  accountability: 2 * DAY,
  receiptDeadline: DAY,
  bond: 500,
  submitterSlash: 1_000,
} as const;

/** How every contract test has commitments vouched for. */
export const ZK_TERMS = {
  bond: opgWei(100),
  accountability: 2 * DAY,
  withdrawalDelay: DAY,
  rewardBps: 2_000,
  voterSlashBps: 1_000,
} as const;

export interface Protocol {
  connection: NetworkConnection;
  /** Funded dev accounts; the first is deployer and owner. Every one holds a million OPG and has approved all contracts. */
  accounts: Signer[];
  owner: Signer;
  opg: OPG;
  staking: NodeStaking;
  nodes: NodeRegistry;
  models: ModelRegistry;
  zkml: ZkmlVerifier;
  settlement: ProofSettlement;
  referee: ZkReferee;
  escrow: InferenceEscrow;
}

/** All contracts on a fresh in-process chain, wired as a deployment wires them. */
export async function deployProtocol(chain: { chainId?: number } = {}): Promise<Protocol> {
  const connection = await network.create({ override: chain });
  const accounts = await connection.ethers.getSigners();
  const owner = accounts[0]!;
  const opg = await new OPG__factory(owner).deploy(owner);
  const staking = await new NodeStaking__factory(owner).deploy(opg, owner, UNBONDING_SECONDS);
  const nodes = await new NodeRegistry__factory(owner).deploy(staking, owner);
  const minimums = { operatorStake: opgWei(1_000), seatStake: opgWei(1_000), seats: 1 };
  const settlement = await new ProofSettlement__factory(owner).deploy(opg, staking, nodes, owner, minimums, TERMS);
  const models = await new ModelRegistry__factory(owner).deploy(opg, staking, settlement, owner, ZK_TERMS);
  const zkml = await new ZkmlVerifier__factory(owner).deploy(models);
  const referee = await new ZkReferee__factory(owner).deploy(settlement, zkml);
  await settlement.setReferee(referee);
  const escrow = await new InferenceEscrow__factory(owner).deploy(
    opg,
    nodes,
    models,
    zkml,
    await settlement.domainSeparator(),
    owner,
    100,
  );
  for (const slasher of [settlement, models]) await staking.setSlasher(slasher, true);
  for (const account of accounts) {
    await opg.transfer(account, opgWei(1_000_000));
    for (const spender of [staking, settlement, escrow, models]) {
      await opg.connect(account).approve(spender, ethers.MaxUint256);
    }
  }
  return { connection, accounts, owner, opg, staking, nodes, models, zkml, settlement, referee, escrow };
}

/** Whole OPG in wei; a string may have decimals. */
export function opgWei(amount: number | string): bigint {
  return ethers.parseEther(String(amount));
}

/** A throw-away key, the same for the same number. */
export function testKey(number: number): BaseWallet {
  return new ethers.Wallet(ethers.id(`opengradient test key ${number}`));
}

/** Registers a node of `operator` with `key` as its signer; the operator must be bonded where a minimum is set. */
export async function registerNode(
  { nodes }: Protocol,
  operator: Signer,
  key: BaseWallet,
  validUntil = 2 ** 40 - 1,
): Promise<string> {
  const tx = await nodes.connect(operator).register(Role.Inference, operator, "http://127.0.0.1");
  const receipt = await tx.wait();
  const nodeId = receipt!.logs[0]!.topics[1]!;
  const consent = await signerConsent(nodes, nodeId, await operator.getAddress(), key, validUntil);
  await nodes.connect(operator).addSigner(nodeId, key, validUntil, consent);
  return nodeId;
}

/** A key's consent to sign for a node. */
export async function signerConsent(
  nodes: NodeRegistry,
  nodeId: string,
  operator: string,
  key: BaseWallet,
  validUntil: number,
): Promise<string> {
  return key.signTypedData(
    await domainOf(nodes),
    {
      SignerConsent: [
        { name: "nodeId", type: "bytes32" },
        { name: "operator", type: "address" },
        { name: "validUntil", type: "uint40" },
      ],
    },
    { nodeId, operator, validUntil },
  );
}

/** Bonds `stakeWei` as a verifier and takes the next seat, voting with `key`. */
export async function takeSeat(
  { staking, settlement }: Protocol,
  operator: Signer,
  key: BaseWallet,
  stakeWei: bigint,
): Promise<number> {
  const seat = (await settlement.seats()).length;
  await staking.connect(operator).stake(Role.Verifier, stakeWei);
  const consent = await seatConsent(settlement, seat, await operator.getAddress(), key);
  await settlement.connect(operator).takeSeat(seat, key, consent);
  return seat;
}

/** A key's consent to vote for a seat. */
export async function seatConsent(
  settlement: ProofSettlement,
  seat: number,
  operator: string,
  key: BaseWallet,
): Promise<string> {
  return key.signTypedData(
    await domainOf(settlement),
    {
      SeatConsent: [
        { name: "seat", type: "uint256" },
        { name: "operator", type: "address" },
      ],
    },
    { seat, operator },
  );
}

/** EIP-712 domain of any of our contracts. */
export async function domainOf(
  contract: NodeRegistry | ModelRegistry | ProofSettlement | OPG,
): Promise<ethers.TypedDataDomain> {
  const { chainId } = await contract.runner!.provider!.getNetwork();
  return { name: "OpenGradient", version: "1", chainId, verifyingContract: await contract.getAddress() };
}

/** Publishes a first version of a fresh repository of `owner`. */
export async function publishModel(
  { models }: Protocol,
  owner: Signer,
  terms: { price?: bigint; royaltyBps?: number; modes?: number } = {},
): Promise<string> {
  await models.connect(owner).createRepository(`model-${await models.repositoryCount()}`, "MIT", "");
  const repositoryId = await models.repositoryCount();
  await models.connect(owner).publishVersion(repositoryId, {
    contentHash: ethers.id("content"),
    blobId: ethers.id("blob"),
    price: terms.price ?? 0n,
    royaltyBps: terms.royaltyBps ?? 0,
    modes: terms.modes ?? ALL_MODES,
  });
  return models.modelIdOf(repositoryId, 1);
}

export async function latestTimestamp({ connection }: Protocol): Promise<number> {
  return (await connection.ethers.provider.getBlock("latest"))!.timestamp;
}

/** Moves the chain's clock and mines a block. */
export async function increaseTime({ connection }: Protocol, seconds: number): Promise<void> {
  await connection.networkHelpers.time.increase(seconds);
}
