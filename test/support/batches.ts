import { concat, ethers, toBeHex, type BaseWallet, type ContractTransactionResponse, type Signer } from "ethers";

import { SettlementHasher } from "../../simulator/receipts/eip712.ts";
import { requestIdForPayment } from "../../simulator/receipts/requestId.ts";
import { signDigest } from "../../simulator/receipts/secp256k1.ts";
import { batchNodes, leafPositions, SumTree, type SumNode } from "../../simulator/receipts/sumTree.ts";
import type { TensorReceipt } from "../../simulator/receipts/tensors.ts";
import {
  Mode,
  UINT96_MAX,
  type BatchHeader,
  type Hex,
  type Receipt,
  type SignedReceipt,
} from "../../simulator/receipts/types.ts";
import {
  deployProtocol,
  increaseTime,
  latestTimestamp,
  opgWei,
  publishModel,
  registerNode,
  Role,
  takeSeat,
  TERMS,
  testKey,
  type Protocol,
} from "./protocol.ts";

export const VERIFIER_STAKE = opgWei(100_000);
export const OPERATOR_STAKE = opgWei(100_000);
export const OPERATOR_DEPOSIT = opgWei(100_000);
/** Locked while a batch is pending. */
export const BOND = opgWei(TERMS.bond);
/** What an operator loses for a wrong batch. */
export const SUBMITTER_SLASH = opgWei(TERMS.submitterSlash);
/** What a verifier with VERIFIER_STAKE loses for approving one. */
export const VOTER_SLASH = (VERIFIER_STAKE * BigInt(TERMS.voterSlashBps)) / 10_000n;

/** A seat's holder; `key` votes. */
export interface Verifier {
  operator: Signer;
  key: BaseWallet;
}

/** The protocol with one operator that can post, four seated verifiers and their first snapshot. */
export interface World extends Protocol {
  operator: Signer;
  operatorAddress: Hex;
  /** The operator's hot key. */
  submitter: Signer;
  /** The operator's node signs with it. */
  nodeKey: BaseWallet;
  challenger: Signer;
  /** Earns the royalties of `modelId`. */
  modelOwner: Signer;
  modelId: Hex;
  payer: Hex;
  /** Seat i is held by verifiers[i]. */
  verifiers: Verifier[];
  setId: number;
  hasher: SettlementHasher;
  /** Accounts with OPG and approvals that play no part yet. */
  bystanders: Signer[];
}

export async function createWorld(): Promise<World> {
  const protocol = await deployProtocol();
  const { accounts, settlement, staking, connection } = protocol;
  const [, operator, submitter, challenger, modelOwner, payer] = accounts as [
    Signer,
    Signer,
    Signer,
    Signer,
    Signer,
    Signer,
  ];
  const nodeKey = testKey(1);
  await staking.connect(operator).stake(Role.Inference, OPERATOR_STAKE);
  await registerNode(protocol, operator, nodeKey);
  await settlement.connect(operator).setSubmitter(submitter);
  await settlement.connect(operator).deposit(operator, OPERATOR_DEPOSIT);
  const verifiers = accounts.slice(6, 10).map((account, i) => ({ operator: account, key: testKey(10 + i) }));
  for (const verifier of verifiers) await takeSeat(protocol, verifier.operator, verifier.key, VERIFIER_STAKE);
  // the node's key signs from its registration on: room for receipts that were served a while ago
  await increaseTime(protocol, 10 * 60);
  await settlement.snapshot();
  const { chainId } = await connection.ethers.provider.getNetwork();
  const hasher = new SettlementHasher({ chainId, verifyingContract: await hexAddress(settlement) });
  return {
    ...protocol,
    operator,
    operatorAddress: await hexAddress(operator),
    submitter,
    nodeKey,
    challenger,
    modelOwner,
    modelId: (await publishModel(protocol, modelOwner, { royaltyBps: 1_000 })) as Hex,
    payer: await hexAddress(payer),
    verifiers,
    setId: 1,
    hasher,
    bystanders: accounts.slice(10),
  };
}

let shared: { world: World; restore: () => Promise<void> } | undefined;

/** A world nothing has happened in: made once a process, then put back. Not for tests that run at the same time. */
export async function freshWorld(): Promise<World> {
  if (shared) {
    await shared.restore();
    // the clock has gone on since; the snapshot's last block has not
    await shared.world.connection.networkHelpers.mine();
  } else {
    const world = await createWorld();
    const snapshot = await world.connection.networkHelpers.takeSnapshot();
    shared = { world, restore: () => snapshot.restore() };
  }
  return shared.world;
}

/** What to change in a batch that is honest without. */
export interface BatchOptions {
  /** Number of receipts; 4 by default. */
  size?: number;
  /** These receipts instead of fresh ones, as they are. */
  receipts?: readonly TensorReceipt[];
  /** Fields of receipt `index`, before it is signed: times, ids, modes. */
  receipt?: (index: number) => Partial<Receipt> | undefined;
  /** The key that signs receipt `index`, for the node's. */
  key?: (index: number) => BaseWallet | undefined;
  /** What becomes of receipt `index` after it was signed. */
  tamper?: (index: number, signed: SignedReceipt) => SignedReceipt;
  /** Total that its parent counts for leaf `index`, for fee << 32 | 1. */
  leafTotal?: (index: number) => bigint | undefined;
  /** Replaces inner nodes as the tree grows over them; level 1 lies on the leaves. */
  node?: (level: number, index: number, node: SumNode) => SumNode;
  /** Fields of the header, over those that follow from the receipts. */
  header?: Partial<BatchHeader>;
  /** Royalty words; one of a tenth of the fees to the model's owner by default. */
  royalties?: readonly Hex[];
}

export interface BuiltBatch {
  header: BatchHeader;
  /** EIP-712 digest of the header. */
  id: Hex;
  receipts: readonly TensorReceipt[];
  /** Where the receipts' leaves are among the tree's lowest nodes. */
  positions: readonly number[];
  tree: SumTree;
  royalties: readonly Hex[];
}

let blobs = 0;
let nonces = 0;

export async function buildBatch(world: World, options: BatchOptions = {}): Promise<BuiltBatch> {
  const servedAt = BigInt(await latestTimestamp(world)) - 5n;
  const receipts: readonly TensorReceipt[] =
    options.receipts ??
    Array.from({ length: options.size ?? 4 }, (_, index) => {
      const fields = { servedAt, ...options.receipt?.(index) };
      const signed = signedReceipt(world, fields, options.key?.(index));
      return options.tamper?.(index, signed) ?? signed;
    });
  const positions = leafPositions(receipts);
  const leaves = batchNodes(receipts).map((node, position) => ({
    ...node,
    total: options.leafTotal?.(positions.indexOf(position)) ?? node.total,
  }));
  const tree = new SumTree(leaves, options.node);
  const times = receipts.map(({ receipt }) => receipt.servedAt);
  const fees = receipts.reduce((sum, { receipt }) => sum + receipt.fee, 0n);
  const royalties = options.royalties ?? [royaltyWord(await hexAddress(world.modelOwner), fees / 10n)];
  const header: BatchHeader = {
    root: tree.root.hash,
    blobId: ethers.id(`blob ${blobs++}`) as Hex,
    operator: world.operatorAddress,
    count: receipts.length,
    setId: world.setId,
    fees,
    servedFrom: times.reduce((a, b) => (a < b ? a : b)),
    servedTo: times.reduce((a, b) => (a > b ? a : b)),
    seen: Number((await world.settlement.state()).sequence),
    royaltiesHash: ethers.keccak256(concat([...royalties])) as Hex,
    ...options.header,
  };
  return { header, id: world.hasher.batchDigest(header), receipts, positions, tree, royalties };
}

/** A fresh receipt of the world's operator and model, with `fields` over the usual ones, signed by `key`. */
export function signedReceipt(world: World, fields: Partial<Receipt>, key: BaseWallet = world.nodeKey): SignedReceipt {
  const unique = nonces++;
  const payment = {
    asset: world.hasher.domain.verifyingContract,
    payer: world.payer,
    nonce: toBeHex(unique, 32) as Hex,
  };
  const receipt: Receipt = {
    requestId: requestIdForPayment(world.hasher.domain, world.operatorAddress, payment),
    modelId: world.modelId,
    mode: Mode.Vanilla,
    inputHash: ethers.id(`input ${unique}`) as Hex,
    outputHash: ethers.id(`output ${unique}`) as Hex,
    payer: world.payer,
    fee: opgWei("0.01") + BigInt(unique),
    servedAt: 0n,
    ...fields,
  };
  return { receipt, signature: signDigest(world.hasher.receiptDigest(receipt), key.privateKey as Hex) };
}

/** A `tamper` that puts a signature of nobody under some receipts. */
export function forged(...indices: number[]): NonNullable<BatchOptions["tamper"]> {
  return (index, signed) => (indices.includes(index) ? { ...signed, signature: `0x${"11".repeat(64)}` } : signed);
}

/** owner 160 | amount 96 */
export function royaltyWord(owner: Hex, amountWei: bigint): Hex {
  return toBeHex((BigInt(owner) << 96n) | amountWei, 32) as Hex;
}

/** What a batch is charged under `TERMS`, in wei of OPG. */
export function chargesOf({ header, royalties }: BuiltBatch) {
  const protocol = (header.fees * BigInt(TERMS.protocolBps)) / 10_000n;
  const verifiers = (header.fees * BigInt(TERMS.verifierBps)) / 10_000n;
  const owners = royalties.reduce((sum, word) => sum + (BigInt(word) & UINT96_MAX), 0n);
  return { protocol, verifiers, royalties: owners, due: protocol + verifiers + owners };
}

/** A receipt with its place in the tree, as the contract takes it. */
export function leafOf({ receipts, positions, tree }: BuiltBatch, index: number) {
  const { receipt, signature } = receipts[index]!;
  return { receipt, sig: compactSignature(signature), ...tree.path(positions[index]!) };
}

export const compactSignature = (signature: Hex) => ({
  r: signature.slice(0, 66),
  vs: `0x${signature.slice(66)}`,
});

/** Bitmap and signatures by which `seats` approve `digest`, lowest seat first. */
export function votesOf(
  world: World,
  digest: Hex,
  seats: readonly number[] = world.verifiers.map((_, seat) => seat),
): { seats: bigint; signatures: Hex } {
  const ascending = [...seats].sort((a, b) => a - b);
  return {
    seats: ascending.reduce((bits, seat) => bits | (1n << BigInt(seat)), 0n),
    signatures: concat(
      ascending.map((seat) => signDigest(digest, world.verifiers[seat]!.key.privateKey as Hex)),
    ) as Hex,
  };
}

/** Posts with the votes of `seats`: all of them by default, none for an empty list. */
export function post(world: World, batch: BuiltBatch, seats?: readonly number[]): Promise<ContractTransactionResponse> {
  const votes = votesOf(world, batch.id, seats);
  return world.settlement
    .connect(world.submitter)
    .submitBatch(batch.header, [...batch.royalties], votes.seats, votes.signatures);
}

/** Builds a batch and posts it: attested by all seats, or pending when `seats` is empty. */
export async function postedBatch(
  world: World,
  options: BatchOptions & { seats?: readonly number[] } = {},
): Promise<BuiltBatch> {
  const batch = await buildBatch(world, options);
  await post(world, batch, options.seats);
  return batch;
}

export function attest(world: World, batch: BuiltBatch, seats?: readonly number[], caller: Signer = world.challenger) {
  const votes = votesOf(world, batch.id, seats);
  return world.settlement.connect(caller).attest(batch.header, [...batch.royalties], votes.seats, votes.signatures);
}

/** Challenges receipt `index`; `claimedTotal` is what the tree counts for it unless told otherwise. */
export function challengeReceipt(
  world: World,
  batch: BuiltBatch,
  index: number,
  claimedTotal = batch.tree.levels[0]![batch.positions[index]!]!.total,
): Promise<ContractTransactionResponse> {
  return world.settlement.connect(world.challenger).challengeReceipt(batch.header, leafOf(batch, index), claimedTotal);
}

/** Challenges receipt `index` of `batch` as a duplicate of `earlierIndex` of `earlier`. */
export function challengeDuplicate(
  world: World,
  batch: BuiltBatch,
  index: number,
  earlier: BuiltBatch,
  earlierIndex: number,
): Promise<ContractTransactionResponse> {
  return world.settlement
    .connect(world.challenger)
    .challengeDuplicate(batch.header, leafOf(batch, index), earlier.header, leafOf(earlier, earlierIndex));
}

/** Challenges the sum of inner node `index` of `level` (1 or higher). */
export function challengeNodeTotal(
  world: World,
  { tree, header }: BuiltBatch,
  level: number,
  index: number,
  claimedTotal = tree.levels[level]![index]!.total,
): Promise<ContractTransactionResponse> {
  const [left, right] = [tree.levels[level - 1]![2 * index]!, tree.levels[level - 1]![2 * index + 1]!];
  const { path, right: bits } = tree.path(index, level);
  return world.settlement
    .connect(world.challenger)
    .challengeNodeTotal(header, left.hash, left.total, right.hash, right.total, claimedTotal, path, bits);
}

/** Challenges the header's total by the path of node `index` of `level`. */
export function challengeHeaderTotal(
  world: World,
  { tree, header }: BuiltBatch,
  level = 0,
  index = 0,
): Promise<ContractTransactionResponse> {
  const node = tree.levels[level]![index]!;
  const { path, right } = tree.path(index, level);
  return world.settlement.connect(world.challenger).challengeHeaderTotal(header, node.hash, node.total, path, right);
}

export async function hexAddress(of: { getAddress(): Promise<string> }): Promise<Hex> {
  return (await of.getAddress()).toLowerCase() as Hex;
}
