import { expect } from "chai";
import { Wallet, getAddress } from "ethers";
import { network } from "hardhat";

import OpenGradient from "../../ignition/modules/OpenGradient.ts";
import { parametersFile, readDeploymentParameters } from "../../ignition/deploymentParameters.ts";
import type { DeploymentParameters } from "../../ignition/deploymentParameters.ts";
import {
  findDeployment,
  formatAddressBook,
  loadAddressBook,
  parseAddressBook,
} from "../../simulator/chain/addressBook.ts";
import type { AddressBook } from "../../simulator/chain/addressBook.ts";
import { checkDeployment, DeploymentMismatchError } from "../../simulator/chain/checkDeployment.ts";
import { connectChain } from "../../simulator/chain/connectChain.ts";
import type { Chain } from "../../simulator/chain/connectChain.ts";
import { connectContracts, OutdatedAddressBookError } from "../../simulator/chain/contracts.ts";
import type { Contracts } from "../../simulator/chain/contracts.ts";
import { deployOpenGradient } from "../../simulator/chain/deployOpenGradient.ts";
import { devAccounts } from "../../simulator/chain/devAccounts.ts";
import type { DevAccount } from "../../simulator/chain/devAccounts.ts";
import { EmbeddedChain } from "../../simulator/chain/EmbeddedChain.ts";
import {
  InferenceEscrow__factory,
  ModelRegistry__factory,
  NitroAttestationVerifier__factory,
  NodeRegistry__factory,
  NodeStaking__factory,
  OPG__factory,
  OpgPriceFeed__factory,
  ProofSettlement__factory,
  TEEInferenceVerifier__factory,
  ZkmlVerifier__factory,
  ZkReferee__factory,
} from "../../typechain-types/index.ts";
import { silent } from "../simulator/chain/localChain.ts";

const SUPPLY = 1_000_000_000n * 10n ** 18n;

describe("deploying OpenGradient", () => {
  const [deployer, governance] = devAccounts(2) as [DevAccount, DevAccount];
  let local: DeploymentParameters;

  before(async () => {
    local = await readDeploymentParameters(parametersFile("localhost"));
  });

  describe("to a chain behind JSON-RPC", () => {
    let embedded: EmbeddedChain;
    let chain: Chain;
    let book: AddressBook;
    let contracts: Contracts;
    let parameters: DeploymentParameters;

    before(async () => {
      embedded = new EmbeddedChain({ logger: silent });
      await embedded.start();
      chain = await connectChain({ url: embedded.url });
      parameters = { ...local, owner: getAddress(governance.address), unbonding: 200_000 };
      book = await deployOpenGradient({ chain, deployerKey: deployer.privateKey, parameters });
      contracts = connectContracts(book, chain.provider);
    });

    after(async () => {
      chain.close();
      await embedded.stop();
    });

    it("wires_everythingAsTheParametersSay", async () => {
      await checkDeployment(contracts, parameters);
      expect(await contracts.opg.balanceOf(parameters.treasury)).to.equal(SUPPLY);
      expect(book.startBlock).to.equal(1);
    });

    it("checkDeployment_otherParameters_namesWhatDiffers", async () => {
      const terms = { ...parameters.terms, window: parameters.terms.window + 1 };
      const error = await checkDeployment(contracts, { ...parameters, unbonding: 300_000, terms }).catch(
        (e: unknown) => e,
      );
      expect(error).to.be.instanceOf(DeploymentMismatchError);
      expect((error as DeploymentMismatchError).differences).to.deep.equal([
        "NodeStaking.unbonding is 200000, expected 300000",
        "ProofSettlement.terms(1).window is 600, expected 601",
      ]);
    });

    it("ownership_isOfferedAndTheOwnerTakesIt", async () => {
      const { staking, nodes, models, settlement, escrow } = contracts;
      const owner = new Wallet(governance.privateKey, chain.provider);
      const owned = [
        ...[staking, nodes, settlement, escrow].map(
          (contract) => [contract, () => contract.connect(owner).acceptOwnership()] as const,
        ),
        // repositories are handed over by a function of the same name
        [models, () => models.connect(owner)["acceptOwnership()"]()] as const,
      ];
      for (const [contract, accept] of owned) {
        expect(await contract.owner()).to.equal(getAddress(deployer.address));
        expect(await contract.pendingOwner()).to.equal(owner.address);
        await (await accept()).wait();
        expect(await contract.owner()).to.equal(owner.address);
      }
      await checkDeployment(contracts, parameters);
    });

    it("addressBook_written_isReadAgainAsItWas", () => {
      expect(parseAddressBook(formatAddressBook(book))).to.deep.equal(book);
    });

    it("addressBook_abiHasChanged_isRefused", () => {
      const outdated = structuredClone(book) as { contracts: Record<string, { abiHash: string }> } & AddressBook;
      (outdated.contracts.OPG as { abiHash: string }).abiHash = `0x${"00".repeat(32)}`;
      expect(() => connectContracts(outdated, chain.provider)).to.throw(OutdatedAddressBookError, "OPG");
    });

    it("freshLocalChain_addresses_areThoseOfTheCommittedBook", async () => {
      const committed = await loadAddressBook("localhost");
      // Made anew by `npm run deployments -- --network localhost --fresh`
      expect({ ...book, parameters: local }).to.deep.equal(committed);
      expect(await findDeployment(chain.provider, chain.chainId)).to.deep.equal(committed);
    });
  });

  /** Deploys by Ignition to a chain in this process, and checks what came of it. */
  async function deployInProcess(params: Parameters<typeof network.create>[0], parameters: DeploymentParameters) {
    const connection = await network.create(params);
    try {
      const deployed = await connection.ignition.deploy(OpenGradient, { parameters: { OpenGradient: parameters } });
      const { provider } = connection.ethers;
      const at = (contract: { getAddress(): Promise<string> }) => contract.getAddress();
      const contracts: Contracts = {
        opg: OPG__factory.connect(await at(deployed.opg), provider),
        staking: NodeStaking__factory.connect(await at(deployed.staking), provider),
        nodes: NodeRegistry__factory.connect(await at(deployed.nodes), provider),
        models: ModelRegistry__factory.connect(await at(deployed.models), provider),
        zkml: ZkmlVerifier__factory.connect(await at(deployed.zkml), provider),
        settlement: ProofSettlement__factory.connect(await at(deployed.settlement), provider),
        referee: ZkReferee__factory.connect(await at(deployed.referee), provider),
        escrow: InferenceEscrow__factory.connect(await at(deployed.escrow), provider),
        attestation: NitroAttestationVerifier__factory.connect(await at(deployed.attestation), provider),
        teeInference: TEEInferenceVerifier__factory.connect(await at(deployed.teeInference), provider),
        priceFeed: OpgPriceFeed__factory.connect(await at(deployed.priceFeed), provider),
      };
      await checkDeployment(contracts, parameters);
    } finally {
      await connection.close();
    }
  }

  it("to a simulated OP chain, at the newest rules EDR has for it", () =>
    deployInProcess({ network: "hardhat", chainType: "op", override: { hardfork: "isthmus" } }, local));

  for (const name of ["hardhat", "baseSepolia", "base"]) {
    it(`with the parameters of ${name}`, async () => {
      const owner = getAddress(governance.address);
      const parameters = { ...(await readDeploymentParameters(parametersFile(name))), owner, treasury: owner };
      await deployInProcess({ network: "hardhat", override: { chainId: parameters.chainId } }, parameters);
    });
  }
});
