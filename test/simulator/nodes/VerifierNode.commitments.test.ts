import { expect } from "chai";
import { TypedDataEncoder, Wallet } from "ethers";
import { pino } from "pino";

import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { TRANSACTION_GAS_CAP, TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { registeredVerifiers } from "../../../simulator/settlement/registeredVerifiers.ts";
import { recoverAddress, signDigest } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { packVotes } from "../../../simulator/settlement/collectVotes.ts";
import { checkModel } from "../../../simulator/zkml/checkModel.ts";
import { COMMITMENT_TYPES, commitmentDigest } from "../../../simulator/zkml/commitmentDigest.ts";
import type { G1Point } from "../../../simulator/zkml/curve.ts";
import { CHUNK_ENTRIES } from "../../../simulator/zkml/hashChain.ts";
import { manifestHash } from "../../../simulator/zkml/manifest.ts";
import { decodeModelBlob, encodeModelBlob, type ZkModelBlob } from "../../../simulator/zkml/modelBlob.ts";
import { weightsHash } from "../../../simulator/zkml/modelVector.ts";
import { PublishError } from "../../../simulator/zkml/publish/PublishError.ts";
import {
  publishZkModel,
  type PublishOptions,
  type PublishProgress,
} from "../../../simulator/zkml/publish/publishZkModel.ts";
import { importModel } from "../../../simulator/zkml/quantise/importModel.ts";
import { manifestOf } from "../../../simulator/zkml/quantise/ZkModel.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { ZkDirectory, ZkStatus } from "../../../simulator/zkml/ZkDirectory.ts";
import type { CommitmentOptions } from "../../../simulator/verification/CommitmentVerifier.ts";
import { DevelopmentShapeS__factory } from "../../../typechain-types/index.ts";
import { perceptron } from "../../support/onnxModels.ts";
import { domainOf, Role, ZK_TERMS } from "../../support/protocol.ts";
import { commitmentFor, developmentKey, randomModel } from "../../support/zk.ts";
import { createVerifierWorld, eventually, payerKey, type VerifierWorld } from "../verification/verifierWorld.ts";

/** The challenger's part of a bond. */
const REWARD = (ZK_TERMS.bond * BigInt(ZK_TERMS.rewardBps)) / 10_000n;

const preparedModel = (seed = 1): ZkModelBlob => {
  const onnx = perceptron([4, 8, 3], "Relu", seed);
  const samples = Array.from({ length: 8 }, (_, i) => [i / 8, -i / 8, 0.5, -1]);
  const { model } = importModel(onnx, { samples, shapes: [SHAPES.S] });
  return { manifest: manifestOf(model, onnx, 1), vector: model.vector, inputScales: model.inputScales, onnx };
};

describe("VerifierNode: commitments of zk models", function () {
  this.timeout(120_000);
  const model = preparedModel();
  const COMMITMENTS: CommitmentOptions = {
    keyOf: developmentKey,
    fold: (_key, vector) => commitmentFor(vector),
  };
  let world: VerifierWorld;
  let owner: TransactionSubmitter;
  let directory: ZkDirectory;
  let otherPoint: G1Point;

  beforeEach(async () => {
    world = await createVerifierWorld();
    otherPoint = await commitmentFor(preparedModel(2).vector);
    await world.models.addShape(await new DevelopmentShapeS__factory(world.owner).deploy());
    directory = new ZkDirectory(world.chain.provider, world.contracts.models, world.blobs);
    const signer = new Wallet(devAccounts()[4]!.privateKey);
    owner = new TransactionSubmitter({ chain: world.chain, signer, logger: pino({ level: "silent" }) });
    await owner.start();
  });

  afterEach(async () => {
    await owner.stop();
    await world.close();
  });

  const publish = (options: Partial<PublishOptions> = {}): Promise<Hex> =>
    publishZkModel({
      ...COMMITMENTS,
      chain: world.chain,
      contracts: world.contracts,
      owner,
      blobs: world.blobs,
      model,
      repository: { name: "zk", licence: "MIT" },
      terms: { priceWei: 0n, royaltyBps: 500, modes: 1 },
      verifiers: () => Promise.resolve(world.running.map(({ url }) => url)),
      voteTimeoutMs: 30_000,
      ...options,
    });

  /** Publishes a version and registers a commitment for it, whatever it is. */
  const register = async (
    commitment: G1Point,
    { blob = model, manifest = blob.manifest }: { blob?: ZkModelBlob; manifest?: ZkModelBlob["manifest"] } = {},
  ): Promise<Hex> => {
    const registry = world.models.connect(world.modelOwner);
    await registry.createRepository("zk", "MIT", "");
    const repositoryId = await registry.repositoryCount();
    const blobId = await world.blobs.put(encodeModelBlob(blob));
    const contentHash = manifestHash(manifest);
    await registry.publishVersion(repositoryId, { contentHash, blobId, price: 0n, royaltyBps: 500, modes: 1 });
    const modelId = (await registry.modelIdOf(repositoryId, 1)) as Hex;
    await registry.depositZkBond(repositoryId, ZK_TERMS.bond);
    await registry.registerZk(modelId, manifest, ...commitment);
    return modelId;
  };

  const ask = async (body: object, seat = 0): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(new URL("/zk/votes", world.running[seat]!.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  const statusOf = async (modelId: Hex): Promise<ZkStatus> => (await directory.registration(modelId)).status;
  const balanceOf = (seat: number): Promise<bigint> => world.opg.balanceOf(new Wallet(payerKey(seat)).address);

  /** Waits until a commitment is proven wrong, once, and its prover is paid. */
  const expectProvenWrong = async (modelId: Hex, before: readonly bigint[]): Promise<bigint> => {
    const told = () => world.told("commitmentProvenWrong");
    // the EVM sums up 2,130 points, which takes a busy machine a while
    await eventually(() => told().length >= world.running.length, "proven wrong", 60_000);
    await eventually(() => world.running.every(({ isIdle }) => isIdle), "idle");
    expect(await statusOf(modelId)).to.equal(ZkStatus.wrong);
    expect(await world.models.isZkUsable(modelId)).to.equal(false);
    expect(new Set(told().map(({ challenger }) => challenger)).size, "challengers").to.equal(1);
    const seat = world.running.findIndex(
      (_, index) => new Wallet(payerKey(index)).address.toLowerCase() === told()[0]!.challenger,
    );
    expect(told()[0]!.rewardWei).to.equal(REWARD);
    expect((await balanceOf(seat)) - before[seat]!).to.equal(REWARD);
    return told()[0]!.slashedWei;
  };

  const refusals = async (modelId: Hex): Promise<unknown[]> => {
    const answers = await Promise.all(world.running.map((_, seat) => ask({ modelId, setId: 1 }, seat)));
    for (const { status } of answers) expect(status).to.equal(422);
    return answers.map(({ body }) => body.code);
  };

  it("an honest model is attested with the votes of registered verifiers, each of which recomputed it", async () => {
    await world.startAll({ commitments: { keyOf: developmentKey } });
    for (const [seat, { operator }] of world.verifiers.entries()) {
      await world.nodes.connect(operator).register(Role.Verifier, operator, world.running[seat]!.url);
    }
    const progress: PublishProgress[] = [];
    const modelId = await publish({
      verifiers: () => registeredVerifiers(world.chain, world.contracts.nodes),
      onProgress: (step) => progress.push(step),
    });
    expect(await statusOf(modelId)).to.equal(ZkStatus.attested);
    expect(await world.models.isZkUsable(modelId)).to.equal(true);
    expect(progress.map(({ step }) => step)).to.deep.equal([
      "committed",
      "stored",
      "repository",
      "version",
      "bonded",
      "registered",
      "voted",
      "attested",
    ]);
    await world.toldBy("modelJudged", 4);
    await eventually(() => world.running.every(({ isIdle }) => isIdle), "idle");
    expect(new Set(world.told("modelJudged").map(({ verdict }) => verdict))).to.deep.equal(new Set(["right"]));
    expect(world.told("accumulated")).to.deep.equal([]);

    const head = await world.chain.provider.getBlockNumber();
    expect(await publish(), "again").to.equal(modelId);
    expect(await world.chain.provider.getBlockNumber(), "nothing sent").to.equal(head);
    expect(await refusals(modelId)).to.deep.equal(Array(4).fill("already_decided"));
  });

  it("the vote is over the contract's digest, and the same again after a restart", async () => {
    const commitment = await commitmentFor(model.vector);
    const modelId = await register(commitment);
    await world.startVerifier(0, { commitments: COMMITMENTS });
    const { body } = await ask({ modelId, setId: 1 });
    const message = { modelId, x: commitment[0], y: commitment[1], setId: 1 };
    const expected = TypedDataEncoder.hash(await domainOf(world.models), COMMITMENT_TYPES, message);
    const domain = { chainId: world.chain.chainId, verifyingContract: world.contracts.models };
    expect(commitmentDigest(domain, modelId, commitment, 1)).to.equal(expected);
    expect(await world.models.zkCommitmentDigest(modelId, 1)).to.equal(expected);
    const voter = world.running[0]!.voter;
    expect(recoverAddress(expected as Hex, body.signature as Hex)).to.equal(voter);
    await world.stopVerifier(0);
    await world.startVerifier(0, { commitments: COMMITMENTS });
    expect((await ask({ modelId, setId: 1 })).body).to.deep.equal(body);
    expect(world.running[0]!.counts.commitmentVotes).to.equal(1);
  });

  it("a wrong commitment is refused by all, and proven wrong on chain by one, who gets the reward", async () => {
    const before = await Promise.all([0, 1, 2, 3].map(balanceOf));
    await world.startAll({ commitments: COMMITMENTS, staggerMs: 1_000 });
    const modelId = await register(otherPoint);
    expect(await refusals(modelId)).to.deep.equal(Array(4).fill("faulty_model"));
    expect(world.told("commitmentRefused")[0]!.message).to.include("commitment");
    expect(await expectProvenWrong(modelId, before), "nobody voted").to.equal(0n);
    expect(await refusals(modelId)).to.deep.equal(Array(4).fill("not_registered"));
    await expectPublishError(publish(), "proven_wrong");
  });

  it("a wrong commitment that was attested costs those who voted for it", async () => {
    const modelId = await register(otherPoint);
    const digest = (await world.models.zkCommitmentDigest(modelId, 1)) as Hex;
    const votes = world.verifiers
      .slice(1)
      .map(({ key }, i): [number, Hex] => [i + 1, signDigest(digest, key.privateKey as Hex)]);
    const { seats, signatures } = packVotes(new Map(votes));
    await world.models.attestZk(modelId, 1, seats, signatures);
    const before = await Promise.all([0].map(balanceOf));
    const operator = world.verifiers[1]!.operator;
    const stake = await world.staking.activeStake(operator, Role.Verifier);
    await world.startVerifier(0, { commitments: COMMITMENTS });
    expect(await expectProvenWrong(modelId, before)).to.equal((3n * stake * BigInt(ZK_TERMS.voterSlashBps)) / 10_000n);
    expect(await world.staking.activeStake(operator, Role.Verifier)).to.equal(
      stake - (stake * BigInt(ZK_TERMS.voterSlashBps)) / 10_000n,
    );
  });

  it("a weight out of range is proven on chain too, in steps that fit a transaction though no weight is zero", async () => {
    const vector = randomModel().with(5, 2 ** 15);
    const blob = { ...model, vector, manifest: { ...model.manifest, weightsHash: weightsHash(vector) } };
    const before = await Promise.all([0].map(balanceOf));
    const modelId = await register(otherPoint, { blob });
    await world.startVerifier(0, { commitments: COMMITMENTS });
    await expectProvenWrong(modelId, before);
    expect(world.told("modelJudged")[0]!.faults.map(({ kind }) => kind)).to.deep.equal(["range"]);
    const gas = world.told("accumulated").map(({ gasUsed }) => gasUsed);
    expect(gas).to.have.length(2);
    for (const gasUsed of gas) expect(gasUsed).to.be.within(3_000_000n, TRANSACTION_GAS_CAP);
  });

  it("a manifest, or an ONNX file, that is not what the version says gets no votes; the contract cannot see it", async () => {
    const right = await commitmentFor(model.vector);
    const foreign = { ...model.manifest, inputScale: model.manifest.inputScale + 1 };
    await world.startAll({ commitments: COMMITMENTS });
    const modelId = await register(right, { manifest: foreign });
    expect(await refusals(modelId)).to.deep.equal(Array(4).fill("faulty_model"));
    const [told] = await world.toldBy("modelJudged", 4);
    expect([told!.verdict, told!.faults[0]!.kind]).to.deep.equal(["unprovable", "manifest"]);

    const narrower = {
      ...model,
      inputScales: model.inputScales.slice(1),
      manifest: { ...model.manifest, inputs: 3 },
    };
    const error = await expectPublishError(
      publish({ model: narrower, repository: { name: "narrower", licence: "MIT" } }),
      "quorum_missed",
    );
    expect(error.failures.map(({ code }) => code)).to.deep.equal(Array(4).fill("faulty_model"));
    expect(error.message).to.include("onnx: Expected 3 inputs");
    await eventually(() => world.running.every(({ isIdle }) => isIdle), "idle");
    expect(world.told("accumulated")).to.deep.equal([]);
  });

  it("a blob that is withheld gets no votes until it is there, and publishing goes on where it was", async () => {
    await world.startAll({ commitments: COMMITMENTS });
    const blobId = await world.blobs.put(encodeModelBlob(model));
    world.blobs.withheld.add(blobId);
    const error = await expectPublishError(publish(), "quorum_missed");
    expect(error.failures.map(({ code }) => code)).to.deep.equal(Array(4).fill("blob_unavailable"));
    await world.toldBy("modelUnreadable", 1);
    world.blobs.withheld.clear();
    const sent: string[] = [];
    const modelId = await publish({
      onProgress: (progress) => {
        if ("transactionHash" in progress) sent.push(progress.step);
      },
    });
    expect(await statusOf(modelId)).to.equal(ZkStatus.attested);
    expect(sent).to.deep.equal(["attested"]);
    await world.toldBy("modelJudged", 4);
  });

  it("a challenge goes on after a restart where the chain has it, though the blob is withheld since", async () => {
    const chunksPerStep = 4;
    const steps = Math.ceil(model.vector.length / (chunksPerStep * CHUNK_ENTRIES));
    const before = await Promise.all([0].map(balanceOf));
    const modelId = await register(otherPoint);
    await world.startVerifier(0, { commitments: { ...COMMITMENTS, chunksPerStep } });
    await world.toldBy("accumulated", 1);
    await world.stopVerifier(0);
    const progress = await world.models.zkChallenge(modelId, new Wallet(payerKey(0)).address);
    expect(progress[4], "under way").to.be.within(1n, BigInt(model.vector.length - 1));
    const { blobId } = await world.models.version(modelId);
    world.blobs.withheld.add(blobId as Hex);
    await world.startVerifier(0, { commitments: { ...COMMITMENTS, chunksPerStep } });
    await expectProvenWrong(modelId, before);
    const told = world.told("accumulated").map(({ entries }) => entries);
    const expected = Array.from({ length: steps }, (_, i) =>
      Math.min((i + 1) * chunksPerStep * CHUNK_ENTRIES, model.vector.length),
    );
    expect(told).to.deep.equal(expected);
  });

  it("refuses what it cannot decide on, with a code", async () => {
    const modelId = await register(await commitmentFor(model.vector));
    await world.startVerifier(0, { commitments: COMMITMENTS });
    const code = async (body: object) => (await ask(body)).body.code;
    expect(await code({ modelId: `0x${"12".repeat(32)}`, setId: 1 })).to.equal("not_registered");
    expect(await code({ modelId, setId: 2 })).to.equal("set_not_usable");
    expect(await ask({ modelId: "0x12", setId: 1 })).to.deep.include({ status: 400 });
    await world.stopVerifier(0);
    const foreignKey = await developmentKey();
    const tampered = { ...foreignKey, key: { ...foreignKey.key, alpha1: otherPoint } };
    await world.startVerifier(0, { commitments: { ...COMMITMENTS, keyOf: () => Promise.resolve(tampered) } });
    expect(await code({ modelId, setId: 1 })).to.equal("key_unavailable");
    await world.stopVerifier(0);
    await world.startVerifier(0);
    expect(await code({ modelId, setId: 1 })).to.equal("key_unavailable");
  });

  it("checkModel reports what a registered model is", async () => {
    const modelId = await register(otherPoint);
    const report = await checkModel(modelId, { directory, blobs: world.blobs, keyOf: developmentKey });
    expect(report.faults.map(({ kind }) => kind)).to.deep.equal(["commitment"]);
    expect(report.commitment).to.deep.equal(await commitmentFor(model.vector));
    expect(report.weights!.manifest).to.deep.equal(model.manifest);
    expect(report.registration).to.deep.equal({ status: ZkStatus.registered, shape: 1, commitment: otherPoint });
    expect(decodeModelBlob(await world.blobs.get(report.blobId)).onnx).to.deep.equal(model.onnx);
  });

  it("publishing says what an account lacks", async () => {
    await expectPublishError(publish({ repository: 1n, owner: await poorSubmitter() }), "not_owner");
    const poor = await poorSubmitter();
    await expectPublishError(
      publish({ owner: poor, repository: { name: "poor", licence: "MIT" } }),
      "insufficient_opg",
    );
  });

  /** An account that can pay for gas, and has no OPG. */
  async function poorSubmitter(): Promise<TransactionSubmitter> {
    const poor = world.bystanders.at(-1)!;
    await world.opg.connect(poor).transfer(world.owner, await world.opg.balanceOf(poor));
    const index = world.accounts.indexOf(poor);
    const signer = new Wallet(devAccounts()[index]!.privateKey);
    const submitter = new TransactionSubmitter({ chain: world.chain, signer, logger: pino({ level: "silent" }) });
    await submitter.start();
    return submitter;
  }

  async function expectPublishError(attempt: Promise<unknown>, code: string): Promise<PublishError> {
    const error: unknown = await attempt.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof PublishError)) throw new Error(`Expected ${code}, found another end`, { cause: error });
    expect(error.code).to.equal(code);
    return error;
  }
});
