import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { claimBatchTypes, permit2WitnessTypes, refundTypes, uptoPermit2WitnessTypes, voucherTypes } from "@x402/evm";
import { AbiCoder, MaxUint256, Signature, id, keccak256 } from "ethers";
import type { TypedDataDomain, TypedDataField } from "ethers";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import { installLocalX402 } from "../../../simulator/chain/x402/installLocalX402.ts";
import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import {
  IPermit2__factory,
  LocalBatchSettlement__factory,
  LocalExactPermit2Proxy__factory,
  LocalUptoPermit2Proxy__factory,
  OPG__factory,
} from "../../../typechain-types/index.ts";
import type {
  IPermit2,
  LocalBatchSettlement,
  LocalExactPermit2Proxy,
  LocalUptoPermit2Proxy,
  OPG,
} from "../../../typechain-types/index.ts";
import { ERC3009_TYPES, PERMIT_TYPES } from "../../support/authorizations.ts";
import { domainOf, opgWei } from "../../support/protocol.ts";

const PARTS = ["deployer", "payer", "receiver", "authorizer", "facilitator", "stranger"] as const;

/** A chain as `installLocalX402` leaves it, and OPG, of which the payer holds 1,000 and has approved Permit2 for all. */
export type LocalStage = Record<(typeof PARTS)[number], HardhatEthersSigner> & {
  connection: NetworkConnection;
  opg: OPG;
  exact: LocalExactPermit2Proxy;
  upto: LocalUptoPermit2Proxy;
  batch: LocalBatchSettlement;
  permit2: IPermit2;
  permit2Domain: TypedDataDomain;
  batchDomain: TypedDataDomain;
};

export async function deployLocalStage(): Promise<LocalStage> {
  const connection = await network.create();
  await installLocalX402({ provider: rawProvider(connection) });
  const signers = await connection.ethers.getSigners();
  const parts = Object.fromEntries(PARTS.map((part, i) => [part, signers[i]])) as Record<
    (typeof PARTS)[number],
    HardhatEthersSigner
  >;
  const opg = await new OPG__factory(parts.deployer).deploy(parts.deployer);
  await opg.transfer(parts.payer, opgWei(1_000));
  await opg.connect(parts.payer).approve(x402Addresses.permit2, MaxUint256);
  const chainId = 31_337;
  return {
    ...parts,
    connection,
    opg,
    exact: LocalExactPermit2Proxy__factory.connect(x402Addresses.exactPermit2Proxy, parts.facilitator),
    upto: LocalUptoPermit2Proxy__factory.connect(x402Addresses.uptoPermit2Proxy, parts.facilitator),
    batch: LocalBatchSettlement__factory.connect(x402Addresses.batchSettlement, parts.facilitator),
    permit2: IPermit2__factory.connect(x402Addresses.permit2, parts.facilitator),
    permit2Domain: { name: "Permit2", chainId, verifyingContract: x402Addresses.permit2 },
    batchDomain: {
      name: "x402 Batch Settlement",
      version: "1",
      chainId,
      verifyingContract: x402Addresses.batchSettlement,
    },
  };
}

/** A connection of Hardhat as `installLocalX402` takes it. */
export const rawProvider = ({ provider }: NetworkConnection) => ({
  send: (method: string, params: unknown[]): Promise<unknown> => provider.request({ method, params }),
});

/** The packages' types are constants; ethers wants to be able to write. */
export const mutable = (types: object) => types as Record<string, TypedDataField[]>;

const NO_TIME = 2n ** 40n;

/** A signed Permit2 transfer: arguments of the proxies' `settle`. */
export interface SignedPermit<Witness> {
  permit: { permitted: { token: string; amount: bigint }; nonce: bigint; deadline: bigint };
  owner: string;
  witness: Witness;
  signature: string;
}

export interface PermitChanges {
  amount?: bigint;
  nonce?: bigint;
  deadline?: bigint;
  spender?: string;
  domain?: TypedDataDomain;
}

async function signPermit<Witness extends object>(
  { opg, payer, permit2Domain }: LocalStage,
  types: object,
  spender: string,
  witness: Witness,
  changes: PermitChanges,
): Promise<SignedPermit<Witness>> {
  const { amount = opgWei(1), nonce = 0n, deadline = NO_TIME, domain = permit2Domain } = changes;
  const permit = { permitted: { token: await opg.getAddress(), amount }, nonce, deadline };
  const message = { ...permit, spender: changes.spender ?? spender, witness };
  return {
    permit,
    owner: payer.address,
    witness,
    signature: await payer.signTypedData(domain, mutable(types), message),
  };
}

/** The payer's payment of exactly `amount` to the receiver. */
export const signExact = (stage: LocalStage, changes: PermitChanges & { to?: string; validAfter?: bigint } = {}) =>
  signPermit(
    stage,
    permit2WitnessTypes,
    x402Addresses.exactPermit2Proxy,
    { to: changes.to ?? stage.receiver.address, validAfter: changes.validAfter ?? 0n },
    changes,
  );

/** The payer's payment of up to `amount` to the receiver, through the facilitator. */
export const signUpto = (stage: LocalStage, changes: PermitChanges & { to?: string; validAfter?: bigint } = {}) =>
  signPermit(
    stage,
    uptoPermit2WitnessTypes,
    x402Addresses.uptoPermit2Proxy,
    {
      to: changes.to ?? stage.receiver.address,
      facilitator: stage.facilitator.address,
      validAfter: changes.validAfter ?? 0n,
    },
    changes,
  );

/** The payer's EIP-2612 approval of Permit2. */
export async function signApproval({ opg, payer }: LocalStage, value: bigint) {
  const nonce = await opg.nonces(payer);
  const message = { owner: payer.address, spender: x402Addresses.permit2, value, nonce, deadline: NO_TIME };
  const { v, r, s } = Signature.from(await payer.signTypedData(await domainOf(opg), PERMIT_TYPES, message));
  return { value, deadline: NO_TIME, r, s, v };
}

export interface ChannelConfig {
  payer: string;
  payerAuthorizer: string;
  receiver: string;
  receiverAuthorizer: string;
  token: string;
  withdrawDelay: number;
  salt: string;
}

/** The payer's channel to the receiver, whose authorizer is another key. */
export async function channelOf(stage: LocalStage, changes: Partial<ChannelConfig> = {}): Promise<ChannelConfig> {
  return {
    payer: stage.payer.address,
    payerAuthorizer: stage.payer.address,
    receiver: stage.receiver.address,
    receiverAuthorizer: stage.authorizer.address,
    token: await stage.opg.getAddress(),
    withdrawDelay: 900,
    salt: id("channel"),
    ...changes,
  };
}

const abi = AbiCoder.defaultAbiCoder();

/** The payer's ERC-3009 authorization of a deposit, as the collector takes it. */
export async function erc3009Data(
  { opg, payer, batch }: LocalStage,
  config: ChannelConfig,
  amount: bigint,
  salt = 0n,
): Promise<string> {
  const channelId = await batch.getChannelId(config);
  const message = {
    from: payer.address,
    to: x402Addresses.erc3009Collector,
    value: amount,
    validAfter: 0n,
    validBefore: NO_TIME,
    nonce: keccak256(abi.encode(["bytes32", "uint256"], [channelId, salt])),
  };
  const types = { ReceiveWithAuthorization: ERC3009_TYPES.ReceiveWithAuthorization };
  const signature = await payer.signTypedData(await domainOf(opg), types, message);
  return abi.encode(["uint256", "uint256", "uint256", "bytes"], [0n, NO_TIME, salt, signature]);
}

/** The payer's Permit2 transfer for a deposit, as the collector takes it. */
export async function permit2Data(
  { opg, payer, batch, permit2Domain }: LocalStage,
  config: ChannelConfig,
  amount: bigint,
  { nonce = 0n, approval = "0x" } = {},
): Promise<string> {
  const types = {
    PermitWitnessTransferFrom: [
      { name: "permitted", type: "TokenPermissions" },
      { name: "spender", type: "address" },
      { name: "nonce", type: "uint256" },
      { name: "deadline", type: "uint256" },
      { name: "witness", type: "DepositWitness" },
    ],
    TokenPermissions: [
      { name: "token", type: "address" },
      { name: "amount", type: "uint256" },
    ],
    DepositWitness: [{ name: "channelId", type: "bytes32" }],
  };
  const signature = await payer.signTypedData(permit2Domain, types, {
    permitted: { token: await opg.getAddress(), amount },
    spender: x402Addresses.permit2Collector,
    nonce,
    deadline: NO_TIME,
    witness: { channelId: await batch.getChannelId(config) },
  });
  return abi.encode(["uint256", "uint256", "bytes", "bytes"], [nonce, NO_TIME, signature, approval]);
}

/** Opens or tops up a channel by ERC-3009; `salt` has to be another one every time. */
export async function fund(stage: LocalStage, config: ChannelConfig, amount: bigint, salt = 0n): Promise<void> {
  const data = await erc3009Data(stage, config, amount, salt);
  await stage.batch.deposit(config, amount, x402Addresses.erc3009Collector, data);
}

/** A voucher for up to `maxClaimableAmount`, claiming `totalClaimed` of it. */
export async function claimOf(
  { payer, batch, batchDomain }: LocalStage,
  config: ChannelConfig,
  maxClaimableAmount: bigint,
  { totalClaimed = maxClaimableAmount, signer = payer, domain = batchDomain } = {},
) {
  const channelId = await batch.getChannelId(config);
  const signature = await signer.signTypedData(domain, mutable(voucherTypes), { channelId, maxClaimableAmount });
  return { voucher: { channel: config, maxClaimableAmount }, signature, totalClaimed };
}

export type Claim = Awaited<ReturnType<typeof claimOf>>;

/** The receiver's authorizer's signature of a batch of claims. */
export async function signClaims(stage: LocalStage, claims: readonly Claim[], signer = stage.authorizer) {
  const entries = await Promise.all(
    claims.map(async ({ voucher, totalClaimed }) => ({
      channelId: await stage.batch.getChannelId(voucher.channel),
      maxClaimableAmount: voucher.maxClaimableAmount,
      totalClaimed,
    })),
  );
  return signer.signTypedData(stage.batchDomain, mutable(claimBatchTypes), { claims: entries });
}

/** The receiver's authorizer's signature of a refund. */
export async function signRefund(
  { batch, batchDomain, authorizer }: LocalStage,
  config: ChannelConfig,
  amount: bigint,
  nonce: bigint,
  signer = authorizer,
) {
  const message = { channelId: await batch.getChannelId(config), nonce, amount };
  return signer.signTypedData(batchDomain, mutable(refundTypes), message);
}
