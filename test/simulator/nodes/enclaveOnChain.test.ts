import { expect } from "chai";
import { ethers, Wallet } from "ethers";
import { pino } from "pino";

import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { TEST_ROOT_DER, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import type { EscrowRequest } from "../../../simulator/nodes/escrowRequest.ts";
import { EscrowStore } from "../../../simulator/nodes/EscrowStore.ts";
import { EscrowWorker } from "../../../simulator/nodes/EscrowWorker.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { checkTeeAnswer } from "../../../simulator/receipts/checkTeeFields.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { chatRequestText } from "../../../simulator/receipts/requestText.ts";
import { type TeeFields, teeFieldsSchema } from "../../../simulator/receipts/teeReceipt.ts";
import { type Hex, Mode } from "../../../simulator/receipts/types.ts";
import {
  NitroAttestationVerifier__factory,
  P384Verifier__factory,
  Sha384__factory,
  TEEInferenceVerifier__factory,
  type TEEInferenceVerifier,
} from "../../../typechain-types/index.ts";
import { hexAddress } from "../../support/batches.ts";
import { registerEnclave } from "../../support/enclaves.ts";
import { HOUR, increaseTime, latestTimestamp, opgWei } from "../../support/protocol.ts";
import { startEnclave } from "../client/registeredEnclave.ts";
import { createSettlementWorld, eventually, type SettlementWorld } from "../settlement/settlementWorld.ts";
import { FEE, nodeOptions, post, receiptOf } from "./nodeFixture.ts";

const silent = pino({ level: "silent" });
const CHAT = "/v1/chat/completions";
const BODY = JSON.stringify({ model: LOCAL_TEXT_MODEL_ID, messages: [{ role: "user", content: "What is a batch?" }] });

/** A node in an enclave that was registered by a real attestation, and what the contracts say of its answers. */
describe("node in a registered enclave", function () {
  this.timeout(180_000);
  let world: SettlementWorld;
  let enclave: Enclave;
  let node: LlmProxyNode;
  let verifier: TEEInferenceVerifier;
  let salts = 0;

  before(async () => {
    world = await createSettlementWorld();
    const { owner, nodes } = world;
    const nitro = await new NitroAttestationVerifier__factory(owner).deploy(
      await new P384Verifier__factory(owner).deploy(),
      await new Sha384__factory(owner).deploy(),
      TEST_ROOT_DER,
      owner,
    );
    await nodes.addVerifier(nitro);
    // the chain is minutes ahead of this machine
    const aheadSeconds = (await latestTimestamp(world)) - Math.floor(Date.now() / 1000);
    const clock = () => Date.now() + aheadSeconds * 1_000;
    enclave = await startEnclave({ authorities: new CertificateChain(testRoot()), clock });
    const operatorKey = devAccounts().find(({ address }) => address === world.operatorAddress)!.privateKey;
    await registerEnclave(enclave, {
      nodes,
      url: world.chain.url,
      operator: new Wallet(operatorKey),
      payout: world.operatorAddress,
      endpoint: "https://enclave.example.org",
    });
    verifier = await new TEEInferenceVerifier__factory(owner).deploy(nodes);
    node = new LlmProxyNode({
      ...nodeOptions({
        enclave,
        domain: world.hasher.domain,
        operator: world.operatorAddress,
        nowSeconds: () => Math.floor(clock() / 1_000),
      }),
      upstreams: [localUpstream()],
      offers: [{ id: LOCAL_TEXT_MODEL_ID, modelId: world.modelId, feeWei: FEE }],
    });
    await node.start();
  });
  after(async () => {
    await node.stop();
    node.store.close();
    await world.close();
  });

  /** A fresh answer, and what the contract is asked about it. */
  const answered = async () => {
    const text = await (await post(node, CHAT, BODY)).text();
    const { statement, teeId, signature } = teeFieldsSchema.parse(JSON.parse(text));
    return {
      text,
      call: [teeId, statement.requestHash, statement.outputHash, statement.timestamp, signature] as const,
    };
  };

  it("answer_isVerifiedByTheContract_withTheRegistrysKey", async () => {
    const { text, call } = await answered();
    expect(await verifier.verifySignature(...call)).to.equal(true);
    expect(await verifier.verifySignatureNoTimestamp(...call)).to.equal(true);
    const [teeId] = call;
    const publicKeyDer = ethers.getBytes(await world.nodes.getTEEPublicKey(teeId));
    checkTeeAnswer("chat", BODY, text, { teeId, publicKeyDer });
    const { receipt } = receiptOf(JSON.parse(text));
    const operator = await world.nodes.findOperator(enclave.signer.address, receipt.mode, receipt.servedAt);
    expect(operator.toLowerCase()).to.equal(world.operatorAddress);
    expect((JSON.parse(text) as TeeFields).tee_id).to.equal(teeId);
  });

  it("answer_ofOtherFields_isNotVerified", async () => {
    const { call } = await answered();
    const [teeId, input, output, timestamp, signature] = call;
    expect(await verifier.verifySignature(teeId, output, input, timestamp, signature)).to.equal(false);
    expect(await verifier.verifySignature(teeId, input, output, timestamp + 1n, signature)).to.equal(false);
    expect(await verifier.verifySignature(ethers.id("other"), input, output, timestamp, signature)).to.equal(false);
    // far out of any clock, where a registry that cut times short would see the enclave live
    for (const far of [timestamp + 2n ** 32n, timestamp + 2n ** 40n, ethers.MaxUint256]) {
      const message = await verifier.computeMessageHash(input, output, far);
      const signed = await enclave.signTeeMessage(ethers.getBytes(message));
      expect(await verifier.verifySignature(teeId, input, output, far, signed)).to.equal(false);
      expect(await verifier.verifySignatureNoTimestamp(teeId, input, output, far, signed)).to.equal(false);
    }
  });

  const lock = async (mode: number): Promise<Hex> => {
    const payer = world.bystanders[0]!;
    const input = chatRequestText(BODY);
    const request: EscrowRequest = {
      payer: await hexAddress(payer),
      operator: world.operatorAddress,
      modelId: world.modelId,
      inputHash: keccak256(input),
      inputBlobId: await world.blobs.put(Buffer.from(input)),
      maxFee: opgWei(3),
      deadline: BigInt((await latestTimestamp(world)) + HOUR),
      mode: mode as Mode,
      royaltyTo: await hexAddress(world.modelOwner),
      royaltyBps: 1_000n,
      salt: ethers.toBeHex(salts++, 32) as Hex,
    };
    await world.escrow.connect(payer).lock(request);
    return (await world.escrow.requestIdOf(request)) as Hex;
  };

  it("escrow_requestOfModeTee_isFulfilledByTheEnclavesKey_andOneOfModeVanillaIsNot", async () => {
    const store = new EscrowStore(":memory:");
    const worker = new EscrowWorker({
      chain: world.chain,
      escrow: await hexAddress(world.escrow),
      domain: world.hasher.domain,
      fromBlock: await world.chain.provider.getBlockNumber(),
      node,
      blobs: world.blobs,
      submitter: await world.startSubmitter(),
      store,
      logger: silent,
      retryMs: 10,
    });
    await worker.start();
    try {
      const vanilla = await lock(Mode.Vanilla);
      const tee = await lock(Mode.Tee);
      await eventually(async () => (await world.escrow.locks(tee)).status === 2n);
      const [event] = await world.escrow.queryFilter(world.escrow.filters.RequestFulfilled(tee));
      expect(event?.args.signer.toLowerCase()).to.equal(enclave.signer.address);
      expect(store.get(tee)?.answer?.receipt.receipt.mode).to.equal(Mode.Tee);
      await eventually(() => store.get(vanilla)?.state === "ignored");
      expect((await world.escrow.locks(vanilla)).status).to.equal(1n);
    } finally {
      await worker.stop();
      store.close();
    }
  });

  // the last: the image is not approved again
  it("answer_afterItsImageWasRevoked_isNotVerified_andEarlierOnesStay", async () => {
    const { call } = await answered();
    const [teeId, input, output] = call;
    await increaseTime(world, 120);
    await world.nodes.revokePCR(pcrHashOf(enclave.measurements), 0);
    await increaseTime(world, 120);
    expect(await verifier.verifySignature(...call)).to.equal(true);
    expect(await verifier.verifySignatureNoTimestamp(...call)).to.equal(true);

    const late = BigInt(await latestTimestamp(world));
    const message = await verifier.computeMessageHash(input, output, late);
    const signature = await enclave.signTeeMessage(ethers.getBytes(message));
    expect(await verifier.verifySignature(teeId, input, output, late, signature)).to.equal(false);
    expect(await verifier.verifySignatureNoTimestamp(teeId, input, output, late, signature)).to.equal(false);
  });
});
