import { randomBytes } from "node:crypto";

import { expect } from "chai";
import { keccak256 } from "ethers";

import { ContractRevertError } from "../../../simulator/chain/ContractRevertError.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { EnclaveKeeper } from "../../../simulator/enclave/EnclaveKeeper.ts";
import { EnclaveRegistrar, UnknownRootError } from "../../../simulator/enclave/EnclaveRegistrar.ts";
import { TEST_ROOT_DER, testRoot } from "../../../simulator/enclave/testRoot.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { NitroAttestationVerifier__factory, type NodeRegistry } from "../../../typechain-types/index.ts";
import { deployEnclaveRegistry } from "../../support/enclaves.ts";
import { rejection } from "../../support/rejection.ts";
import { silent, startLocalChain, type LocalChain } from "../chain/localChain.ts";

const HOUR = 3_600;
const measurements = { pcr0: randomBytes(48), pcr1: randomBytes(48), pcr2: randomBytes(48) };

describe("EnclaveRegistrar and EnclaveKeeper", function () {
  this.timeout(120_000);
  let local: LocalChain;
  let nodes: NodeRegistry;
  let submitter: TransactionSubmitter;
  let nodeId: Hex;
  /** Of the chain, unix milliseconds. */
  let now = 0;

  const synchronise = async () => {
    now = (await local.chain.provider.getBlock("latest"))!.timestamp * 1000;
  };
  const boot = async (authorities = new CertificateChain(testRoot())) => {
    await synchronise();
    return Enclave.start({ authorities, measurements, clock: () => now });
  };
  const registrar = (stagingThreshold?: bigint) =>
    new EnclaveRegistrar({
      chain: local.chain,
      nodes,
      submitter,
      logger: silent,
      ...(stagingThreshold !== undefined && { stagingThreshold }),
    });

  before(async () => {
    local = await startLocalChain();
    const [owner, operator] = local.wallets.map((wallet) => wallet.connect(local.chain.provider));
    nodes = await deployEnclaveRegistry(owner!, await local.opg.getAddress());
    await (await nodes.approvePCR(measurements, "1.0.0", 0)).wait();
    submitter = new TransactionSubmitter({ chain: local.chain, signer: operator!, logger: silent });
    await submitter.start();
  });

  beforeEach(async () => {
    const { address } = submitter;
    await submitter.submit(nodes.register.populateTransaction(0, address, "https://127.0.0.1:1"));
    const count = await nodes.nodeCount(0);
    nodeId = (await nodes.nodesOf(0, count - 1n, 1)).nodeIds[0] as Hex;
  });

  after(async () => {
    await submitter.stop();
    await local.close();
  });

  it("brings an attestation in one transaction while that fits", async () => {
    const enclave = await boot();
    const { teeId, staged, gasUsed } = await registrar().register(nodeId, enclave);
    expect(teeId).to.equal(enclave.teeId);
    expect(staged).to.equal(0);
    expect(gasUsed).to.be.lessThan(16_400_000n);
    expect(await nodes.isTEEActive(teeId)).to.equal(true);
  });

  it("stages certificates first, from the top and no more than it takes, when an estimate comes near the cap", async () => {
    const { staged, gasUsed } = await registrar(10_000_000n).register(nodeId, await boot());
    expect(staged).to.equal(2);
    expect(gasUsed).to.be.lessThan(10_000_000n);
  });

  it("stages nothing that is there already", async () => {
    const host = new CertificateChain(testRoot());
    const first = await registrar(1n).register(nodeId, await boot(host));
    expect(first.staged).to.equal(4);
    const second = await registrar(1n).register(nodeId, await boot(host));
    expect(second.staged).to.equal(1);
  });

  it("names certificates as the verifier does", async () => {
    const [{ verifier }] = (await nodes.verifiers()) as unknown as [{ verifier: string }];
    const contract = NitroAttestationVerifier__factory.connect(verifier, local.chain.provider);
    expect((await contract.certificateOf(certificateName(TEST_ROOT_DER))).isCa).to.equal(true);
    expect(await contract.root()).to.equal(keccak256(TEST_ROOT_DER));
  });

  it("says what the registry refuses, and changes nothing", async () => {
    const other = { pcr0: randomBytes(48), pcr1: randomBytes(48), pcr2: randomBytes(48) };
    await synchronise();
    const stranger = await Enclave.start({
      authorities: new CertificateChain(testRoot()),
      measurements: other,
      clock: () => now,
    });
    const error = await rejection(registrar().register(nodeId, stranger));
    expect(error).to.be.instanceOf(ContractRevertError);
    expect((error as ContractRevertError).errorName).to.equal("PCRNotApproved");
    expect((await nodes.enclave(stranger.teeId))[1].operator).to.equal(`0x${"00".repeat(20)}`);
  });

  it("a keeper sends heartbeats, one a second at most, and renews in the last third of an attestation's life", async () => {
    const enclave = await boot();
    const brought = registrar();
    await brought.register(nodeId, enclave);
    const keeper = new EnclaveKeeper({
      chain: local.chain,
      nodes,
      enclave,
      registrar: brought,
      submitter,
      domain: { chainId: local.chain.chainId, verifyingContract: (await nodes.getAddress()) as Hex },
      logger: silent,
    });
    const record = async () => (await nodes.enclave(enclave.teeId))[1];
    const begun = await record();

    await local.rpc("evm_increaseTime", 100);
    await local.rpc("evm_mine");
    await keeper.keep();
    const beaten = await record();
    expect(beaten.heartbeatAt - begun.heartbeatAt).to.be.within(100n, 130n);
    expect(beaten.liveUntil).to.equal(begun.liveUntil);

    await local.rpc("evm_increaseTime", 17 * HOUR);
    await local.rpc("evm_mine");
    await synchronise();
    await keeper.keep();
    const renewed = await record();
    expect(renewed.liveUntil - begun.liveUntil).to.be.greaterThan(BigInt(17 * HOUR));
    expect(renewed.attestedAt).to.equal(begun.attestedAt);
  });

  it("says so when no verifier in use trusts the root", async () => {
    const [owner] = local.wallets.map((wallet) => wallet.connect(local.chain.provider));
    await (await nodes.connect(owner).removeVerifier(0)).wait();
    expect(await rejection(registrar().register(nodeId, await boot()))).to.be.instanceOf(UnknownRootError);
  });
});
