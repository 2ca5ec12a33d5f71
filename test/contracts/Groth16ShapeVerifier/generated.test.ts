import { readFile } from "node:fs/promises";

import { expect } from "chai";
import { network } from "hardhat";

import { keyDigest } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { verifierSource } from "../../../simulator/zkml/verifierSource.ts";
import {
  DevelopmentShapeL__factory,
  DevelopmentShapeM__factory,
  DevelopmentShapeS__factory,
} from "../../../typechain-types/index.ts";
import { developmentKey } from "../../support/zk.ts";

const FACTORIES = {
  S: DevelopmentShapeS__factory,
  M: DevelopmentShapeM__factory,
  L: DevelopmentShapeL__factory,
} as const;

describe("the generated verifiers", function () {
  // the keys of all shapes are made where they are not cached
  this.timeout(600_000);

  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`DevelopmentShape${name}_inGit_isWhatItsKeyGives`, async () => {
      const { key } = await developmentKey(shape);
      const file = new URL(`../../../contracts/zkml/shapes/DevelopmentShape${name}.sol`, import.meta.url);
      // made anew by `npm run zk:verifiers`
      expect(await readFile(file, "utf8")).to.equal(verifierSource(key, `DevelopmentShape${name}`));
    });

    it(`DevelopmentShape${name}_onChain_saysWhatItIs`, async () => {
      const { key } = await developmentKey(shape);
      const connection = await network.create();
      try {
        const [deployer] = await connection.ethers.getSigners();
        const verifier = await new FACTORIES[name as keyof typeof FACTORIES](deployer!).deploy();
        expect([...(await verifier.dims())].map(Number)).to.deep.equal(shape.dims);
        expect(Number(await verifier.slots())).to.equal(shape.modelLength);
        expect(Number(await verifier.inputWords())).to.equal(shape.inputWords);
        expect(Number(await verifier.outputWords())).to.equal(shape.outputWords);
        expect([...(await verifier.origin())]).to.deep.equal(key.ic[0]);
        expect(await verifier.basesHash()).to.equal(key.basesHash);
        expect(await verifier.keyHash()).to.equal(keyDigest(key));
        expect(await verifier.isDevelopment()).to.equal(true);
      } finally {
        await connection.close();
      }
    });

    it(`DevelopmentShape${name}_onAPublicChain_cannotBeDeployed`, async () => {
      for (const chainId of [1, 8453, 84532]) {
        const connection = await network.create({ override: { chainId } });
        try {
          const [deployer] = await connection.ethers.getSigners();
          const factory = new FACTORIES[name as keyof typeof FACTORIES](deployer!);
          await expect(factory.deploy()).to.be.revertedWithCustomError(factory, "NotLocalChain").withArgs(chainId);
        } finally {
          await connection.close();
        }
      }
    });
  }

  it("verifierSource_ofACeremony_isNotMarkedAsDevelopment", async () => {
    const { key } = await developmentKey();
    const source = verifierSource({ ...key, development: false }, "ShapeS");
    expect(source).to.contain("contract ShapeS is Groth16ShapeVerifier {");
    expect(source).to.match(/function isDevelopment\(\) external pure returns \(bool\) \{\s+return false;/);
    expect(source).to.not.contain("DevelopmentShape");
  });
});
