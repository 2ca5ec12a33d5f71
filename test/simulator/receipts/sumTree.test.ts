import { expect } from "chai";
import { concat, keccak256, toBeHex } from "ethers";
import fc from "fast-check";
import { receiptStructHash } from "../../../simulator/receipts/eip712.ts";
import { toHex } from "../../../simulator/receipts/bytes.ts";
import {
  leafTotal,
  sumLeaf,
  SumTree,
  verifySumPath,
  walkSumPath,
  type SumNode,
} from "../../../simulator/receipts/sumTree.ts";
import type { Hex, SignedReceipt } from "../../../simulator/receipts/types.ts";

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const leaves: fc.Arbitrary<SumNode> = fc.record({
  hash: bytes32,
  total: fc.bigInt({ min: 0n, max: (1n << 80n) - 1n }).map(leafTotal),
});
const trees = fc.array(leaves, { minLength: 1, maxLength: 40 }).map((nodes) => new SumTree(nodes));
const treesWithIndex = trees.chain((tree) => fc.tuple(fc.constant(tree), fc.nat(tree.levels[0]!.length - 1)));

describe("SumTree", () => {
  it("hashes three leaves as written in the contract", () => {
    const [a, b, c] = [1n, 2n, 3n].map((fee) => ({ hash: toBeHex(fee, 32) as Hex, total: leafTotal(fee) }));
    const join = (left: SumNode, right: SumNode): SumNode => ({
      hash: keccak256(
        concat(["0x01", left.hash, right.hash, toBeHex(left.total, 16), toBeHex(right.total, 16)]),
      ) as Hex,
      total: left.total + right.total,
    });
    const tree = new SumTree([a!, b!, c!]);
    expect(tree.root).to.deep.equal(join(join(a!, b!), c!));
    expect(tree.root.total, "fees 6, count 3").to.equal((6n << 32n) | 3n);
    expect(tree.path(2)).to.deep.equal({ path: concat([join(a!, b!).hash, toBeHex((3n << 32n) | 2n, 16)]), right: 1n });
  });

  it("a leaf binds the receipt and its signature", () => {
    const word: Hex = `0x${"11".repeat(32)}`;
    const signed: SignedReceipt = {
      receipt: {
        requestId: word,
        modelId: word,
        mode: 2,
        inputHash: word,
        outputHash: word,
        payer: `0x${"22".repeat(20)}`,
        fee: 7n,
        servedAt: 1n,
      },
      signature: `0x${"33".repeat(64)}`,
    };
    expect(sumLeaf(signed)).to.deep.equal({
      hash: keccak256(concat(["0x00", receiptStructHash(signed.receipt), signed.signature])),
      total: (7n << 32n) | 1n,
    });
  });

  it("every node's path verifies", () => {
    fc.assert(
      fc.property(trees, (tree) => {
        tree.levels.forEach((nodes, level) =>
          nodes.forEach((node, index) => {
            expect(verifySumPath(node, tree.path(index, level), tree.root)).to.equal(true);
          }),
        );
      }),
    );
  });

  it("the root's total is the sum of the leaves", () => {
    fc.assert(
      fc.property(trees, (tree) => {
        expect(tree.root.total).to.equal(tree.levels[0]!.reduce((sum, leaf) => sum + leaf.total, 0n));
      }),
    );
  });

  it("another leaf, total, position or root total does not verify", () => {
    fc.assert(
      fc.property(treesWithIndex, bytes32, fc.bigInt({ min: 1n, max: 1n << 64n }), ([tree, index], hash, more) => {
        const leaf = tree.levels[0]![index]!;
        const path = tree.path(index);
        fc.pre(hash !== leaf.hash);
        expect(verifySumPath({ ...leaf, hash }, path, tree.root), "hash").to.equal(false);
        expect(verifySumPath({ ...leaf, total: leaf.total + more }, path, tree.root), "total").to.equal(false);
        expect(verifySumPath(leaf, path, { ...tree.root, total: tree.root.total + more }), "root").to.equal(false);
        if (path.right === 0n && path.path !== "0x") {
          expect(verifySumPath(leaf, { ...path, right: 1n }, tree.root), "position").to.equal(false);
        }
      }),
    );
  });

  it("a sibling's total cannot be changed", () => {
    fc.assert(
      fc.property(treesWithIndex, fc.nat(15), ([tree, index], at) => {
        const { path, right } = tree.path(index);
        fc.pre(path !== "0x");
        const bytes = Buffer.from(path.slice(2), "hex");
        bytes[32 + at]! ^= 1;
        expect(verifySumPath(tree.levels[0]![index]!, { path: toHex(bytes), right }, tree.root)).to.equal(false);
      }),
    );
  });

  it("a path has one encoding: surplus bits, odd lengths and overflowing sums lead nowhere", () => {
    const node: SumNode = { hash: toBeHex(1n, 32) as Hex, total: leafTotal(1n) };
    const tree = new SumTree([node, node]);
    const path = tree.path(0);
    expect(walkSumPath(node, { ...path, right: 2n })).to.equal(undefined);
    expect(walkSumPath(node, { ...path, path: `${path.path}00` })).to.equal(undefined);
    const huge = concat([node.hash, toBeHex((1n << 128n) - 1n, 16)]) as Hex;
    expect(walkSumPath(node, { path: huge, right: 0n })).to.equal(undefined);
  });

  it("refuses no leaves and unknown nodes", () => {
    expect(() => new SumTree([])).to.throw("at least one leaf");
    const tree = new SumTree([{ hash: toBeHex(1n, 32) as Hex, total: 1n }]);
    expect(() => tree.path(1)).to.throw("Expected a node");
  });
});
