import {
  BATCH_SETTLEMENT_ADDRESS,
  ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
  PERMIT2_ADDRESS,
  x402ExactPermit2ProxyABI,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyABI,
  x402UptoPermit2ProxyAddress,
} from "@x402/evm";
import { expect } from "chai";
import { Interface, TypedDataEncoder, getAddress } from "ethers";
import type { InterfaceAbi } from "ethers";
import { artifacts, network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";
import { base } from "viem/chains";

import { devAccounts } from "../../../../simulator/chain/devAccounts.ts";
import { installLocalX402, NotLocalChainError } from "../../../../simulator/chain/x402/installLocalX402.ts";
import { permit2Deployment } from "../../../../simulator/chain/x402/permit2.ts";
import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import {
  IPermit2__factory,
  LocalExactPermit2Proxy__factory,
  LocalUptoPermit2Proxy__factory,
} from "../../../../typechain-types/index.ts";
import { rawProvider } from "../../../contracts/local/localStage.ts";
import { rejection } from "../../../support/rejection.ts";

describe("installLocalX402", () => {
  const open: NetworkConnection[] = [];

  const bareChain = async (chainId?: number) => {
    const connection = await network.create(chainId === undefined ? undefined : { override: { chainId } });
    open.push(connection);
    return { connection, provider: rawProvider(connection), ethers: connection.ethers };
  };

  afterEach(async () => {
    for (const connection of open.splice(0)) await connection.close();
  });

  it("addresses_areThePackages", () => {
    expect(x402Addresses).to.include({
      permit2: PERMIT2_ADDRESS,
      exactPermit2Proxy: x402ExactPermit2ProxyAddress,
      uptoPermit2Proxy: x402UptoPermit2ProxyAddress,
      batchSettlement: BATCH_SETTLEMENT_ADDRESS,
      erc3009Collector: ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
      multicall3: getAddress(base.contracts.multicall3.address),
    });
  });

  it("abis_haveAllThatThePackagesCall", () => {
    for (const [ours, theirs] of [
      [LocalExactPermit2Proxy__factory.abi, x402ExactPermit2ProxyABI],
      [LocalUptoPermit2Proxy__factory.abi, x402UptoPermit2ProxyABI],
    ] as const) {
      const lines = (abi: readonly unknown[]) => new Interface(abi as InterfaceAbi).format(true);
      // neither names nor a struct's name are part of a call
      expect(lines(ours)).to.include.members(lines(theirs));
    }
  });

  it("permit2sInterface_isPermit2s", async () => {
    const { abi } = await artifacts.readArtifact("Permit2");
    const theirs = new Interface(abi).format(true);
    const ours = new Interface(IPermit2__factory.abi).format(true);
    expect(theirs).to.include.members(ours);
    const errors = (lines: string[]) => lines.filter((line) => line.startsWith("error"));
    // the rest are of its other ways of transfer
    expect(
      errors(theirs)
        .filter((line) => !ours.includes(line))
        .map((line) => line.replace(/\(.*/, "")),
    ).to.have.members([
      "error AllowanceExpired",
      "error ExcessiveInvalidation",
      "error InsufficientAllowance",
      "error LengthMismatch",
    ]);
  });

  it("install_makesNoBlock_andUsesUpNoNonce", async () => {
    const { provider, ethers } = await bareChain();
    expect(await installLocalX402({ provider })).to.have.members(Object.keys(x402Addresses));
    expect(await ethers.provider.getBlockNumber()).to.equal(0);
    for (const { address } of devAccounts()) expect(await ethers.provider.getTransactionCount(address)).to.equal(0);
    for (const address of Object.values(x402Addresses))
      expect(await ethers.provider.getCode(address)).not.to.equal("0x");
  });

  it("install_again_doesNothing", async () => {
    const { provider } = await bareChain();
    await installLocalX402({ provider });
    expect(await installLocalX402({ provider })).to.deep.equal([]);
  });

  it("install_overOtherCode_replacesIt", async () => {
    const { provider } = await bareChain();
    await installLocalX402({ provider });
    await provider.send("hardhat_setCode", [x402Addresses.batchSettlement, "0x00"]);
    expect(await installLocalX402({ provider })).to.deep.equal(["batchSettlement"]);
  });

  it("permit2_isToTheBitWhatATransactionByCreate2Makes", async () => {
    const installed = await bareChain();
    await installLocalX402(installed);
    const { provider, ethers } = await bareChain();
    const deployer = await installed.ethers.provider.getCode(x402Addresses.create2Deployer);
    await provider.send("hardhat_setCode", [x402Addresses.create2Deployer, deployer]);
    const [sender] = await ethers.getSigners();
    await sender!.sendTransaction({ to: x402Addresses.create2Deployer, data: await permit2Deployment() });
    const code = await ethers.provider.getCode(x402Addresses.permit2);
    expect(code).not.to.equal("0x");
    expect(await installLocalX402({ provider }), "it is there already").not.to.include("permit2");
    expect(await ethers.provider.getCode(x402Addresses.permit2)).to.equal(code);
    expect(await installed.ethers.provider.getCode(x402Addresses.permit2)).to.equal(code);
  });

  it("permit2_domain_isOfThisChain", async () => {
    for (const chainId of [31_337, 1_337]) {
      const { provider, ethers } = await bareChain(chainId);
      await installLocalX402({ provider });
      const permit2 = new ethers.Contract(
        x402Addresses.permit2,
        ["function DOMAIN_SEPARATOR() view returns (bytes32)"],
        ethers.provider,
      );
      expect(await permit2.getFunction("DOMAIN_SEPARATOR")()).to.equal(
        TypedDataEncoder.hashDomain({ name: "Permit2", chainId, verifyingContract: x402Addresses.permit2 }),
      );
    }
  });

  it("install_onAPublicChain_isRefused", async () => {
    const { provider, ethers } = await bareChain(8453);
    expect(await rejection(installLocalX402({ provider }))).to.be.instanceOf(NotLocalChainError);
    expect(await ethers.provider.getCode(x402Addresses.permit2)).to.equal("0x");
  });

  it("install_onANodeThatSetsNoCode_isRefused", async () => {
    const { provider } = await bareChain();
    // as geth and hardhat answer requests they do not know
    for (const refusal of [
      { error: { code: -32601, message: "the method does not exist/is not available" } },
      { code: -32004, message: "Method hardhat_setCode is not supported" },
    ]) {
      const send = (method: string, params: unknown[]) =>
        method.endsWith("_setCode")
          ? Promise.reject(Object.assign(new Error(""), refusal))
          : provider.send(method, params);
      expect(await rejection(installLocalX402({ provider: { send } }))).to.be.instanceOf(NotLocalChainError);
    }
  });

  it("install_nodeKnowsOnlyAnvilsName_usesIt", async () => {
    const { provider } = await bareChain();
    const send = (method: string, params: unknown[]) =>
      method === "hardhat_setCode"
        ? Promise.reject(Object.assign(new Error(""), { error: { code: -32601, message: "Method not found" } }))
        : provider.send(method.replace("anvil_", "hardhat_"), params);
    expect(await installLocalX402({ provider: { send } })).to.have.length(8);
  });
});
