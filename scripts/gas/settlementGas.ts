import {
  attest,
  buildBatch,
  challengeDuplicate,
  challengeHeaderTotal,
  challengeNodeTotal,
  challengeReceipt,
  post,
  type BatchOptions,
  type BuiltBatch,
  type World,
} from "../../test/support/batches.ts";
import { HOUR, opgWei, Role, TERMS, testKey } from "../../test/support/protocol.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

const NOBODY: readonly number[] = [];
const CHALLENGED_SIZE = 1_024;

/** Every function of ProofSettlement that has to do with batches; four verifiers, one royalty recipient. */
export async function measureSettlement(world: World, gas: GasMeter): Promise<void> {
  // the clock has moved on since the world's own set was taken
  await tick(world);
  await world.settlement.snapshot();
  world.setId = Number((await world.settlement.state()).setId);
  await measureAccounts(world, gas);
  await measureBatches(world, gas);
  await measureChallenges(world, gas);
  await measurePulls(world, gas);
}

async function newBatch(world: World, options: BatchOptions = {}): Promise<BuiltBatch> {
  await tick(world);
  return buildBatch(world, options);
}

async function measureAccounts({ settlement, operator, submitter, bystanders }: World, gas: GasMeter): Promise<void> {
  const newcomer = bystanders.at(-1)!;
  const account = settlement.connect(newcomer);
  await gas.measure("ProofSettlement.setSubmitter", account.setSubmitter(submitter));
  await gas.measure("ProofSettlement.deposit", account.deposit(newcomer, opgWei(100)));
  await gas.measure("ProofSettlement.withdraw", account.withdraw(opgWei(50)));
  await settlement.connect(operator).deposit(operator, opgWei(100_000));
}

async function measureBatches(world: World, gas: GasMeter): Promise<void> {
  const { settlement, challenger } = world;
  await gas.measure("ProofSettlement.submitBatch (first ever, 4 votes)", post(world, await newBatch(world)));
  for (const size of [256, 1_024]) {
    const name = `ProofSettlement.submitBatch (${size} receipts, 4 votes)`;
    const batch = await newBatch(world, { size });
    gas.row(`settle.${size}`, (await gas.measure(name, post(world, batch))) / size);
  }
  await gas.measure("ProofSettlement.submitBatch (3 votes)", post(world, await newBatch(world), [0, 1, 2]));

  const attested = await newBatch(world);
  await gas.measure("ProofSettlement.submitBatch (no votes)", post(world, attested, NOBODY));
  await gas.measure("ProofSettlement.attest (4 votes, final)", attest(world, attested));

  const asserted = await newBatch(world, { size: 256 });
  const posting = await gas.measure(
    "ProofSettlement.submitBatch (256 receipts, no votes)",
    post(world, asserted, NOBODY),
  );
  await tick(world, TERMS.window + 1);
  const finalising = await gas.measure(
    "ProofSettlement.finalise",
    settlement.connect(challenger).finalise(asserted.header, [...asserted.royalties]),
  );
  gas.row("dispute.assertAndSettle", posting + finalising);
}

async function measureChallenges(world: World, gas: GasMeter): Promise<void> {
  const { settlement, staking, challenger, owner } = world;
  // the challenger has earned before, so its credit is not a new slot
  await staking.setSlasher(owner, true);
  await staking.slash([{ operator: world.operator, role: Role.Inference, amount: opgWei(1) }], challenger, 2_000);

  const badSignature: BatchOptions = { size: CHALLENGED_SIZE, key: (i) => (i === 777 ? testKey(99) : undefined) };
  const unattested = await newBatch(world, badSignature);
  await post(world, unattested, NOBODY);
  const alone = await gas.measure("ProofSettlement.challengeReceipt", challengeReceipt(world, unattested, 777));
  gas.row("dispute.challenge", alone);
  await gas.measure(
    "ProofSettlement.reclaim",
    settlement.connect(challenger).reclaim(unattested.header, [...unattested.royalties]),
  );
  const attested = await newBatch(world, badSignature);
  await post(world, attested);
  const withVoters = await gas.measure(
    "ProofSettlement.challengeReceipt (4 voters)",
    challengeReceipt(world, attested, 777),
  );
  gas.row("dispute.challengeVoters", withVoters);

  const earlier = await newBatch(world, { size: CHALLENGED_SIZE });
  await post(world, earlier);
  const repeated = earlier.receipts[100]!.receipt;
  const duplicate: BatchOptions = {
    size: CHALLENGED_SIZE,
    receipt: (i) => (i === 500 ? { requestId: repeated.requestId } : undefined),
  };
  const later = await newBatch(world, duplicate);
  await post(world, later, NOBODY);
  const duplicated = await gas.measure(
    "ProofSettlement.challengeDuplicate",
    challengeDuplicate(world, later, 500, earlier, 100),
  );
  gas.row("dispute.challengeDuplicate", duplicated);
  const voted = await newBatch(world, duplicate);
  await post(world, voted);
  await gas.measure(
    "ProofSettlement.challengeDuplicate (4 voters)",
    challengeDuplicate(world, voted, 500, earlier, 100),
  );

  const wrongNode = await newBatch(world, {
    size: CHALLENGED_SIZE,
    node: (level, index, node) => (level === 3 && index === 5 ? { ...node, total: node.total - (1n << 40n) } : node),
  });
  const withTreesTotal = { ...wrongNode.header, fees: wrongNode.tree.root.total >> 32n };
  const consistent: BuiltBatch = {
    ...wrongNode,
    header: withTreesTotal,
    id: world.hasher.batchDigest(withTreesTotal),
  };
  await post(world, consistent, NOBODY);
  await gas.measure("ProofSettlement.challengeNodeTotal", challengeNodeTotal(world, consistent, 3, 5));

  const wrongCount = await newBatch(world, { size: 64, header: { count: 63 } });
  await post(world, wrongCount, NOBODY);
  await gas.measure("ProofSettlement.challengeHeaderTotal", challengeHeaderTotal(world, wrongCount));
}

async function measurePulls(world: World, gas: GasMeter): Promise<void> {
  const { settlement, verifiers, modelOwner, owner, challenger } = world;
  await gas.measure(
    "ProofSettlement.claimSeatCredits",
    settlement.connect(verifiers[0]!.operator).claimSeatCredits(0, verifiers[0]!.operator),
  );
  await gas.measure("ProofSettlement.claim", settlement.connect(modelOwner).claim(modelOwner));
  await gas.measure("ProofSettlement.sweepProtocolCredit", settlement.sweepProtocolCredit(owner));
  await gas.measure("ProofSettlement.setTerms", settlement.setTerms({ ...TERMS, window: 2 * HOUR }));
  await gas.measure("ProofSettlement.setReferee", settlement.setReferee(challenger));
  await tick(world, 600);
  await gas.measure("ProofSettlement.snapshot (4 seats)", settlement.snapshot());
  await gas.measure("ProofSettlement.transferOwnership", settlement.transferOwnership(challenger));
  await gas.measure("ProofSettlement.acceptOwnership", settlement.connect(challenger).acceptOwnership());
  await gas.measure("ProofSettlement.renounceOwnership", settlement.connect(challenger).renounceOwnership());
}
