import { Interface, getAddress, id } from "ethers";
import type { ContractRunner, InterfaceAbi } from "ethers";

import {
  InferenceEscrow__factory,
  ModelRegistry__factory,
  NitroAttestationVerifier__factory,
  NodeRegistry__factory,
  NodeStaking__factory,
  OPG__factory,
  OpgPriceFeed__factory,
  P384Verifier__factory,
  ProofSettlement__factory,
  Sha384__factory,
  TEEInferenceVerifier__factory,
  ZkmlVerifier__factory,
  ZkReferee__factory,
} from "../../typechain-types/index.ts";
import type {
  InferenceEscrow,
  ModelRegistry,
  NitroAttestationVerifier,
  NodeRegistry,
  NodeStaking,
  OPG,
  OpgPriceFeed,
  ProofSettlement,
  TEEInferenceVerifier,
  ZkmlVerifier,
  ZkReferee,
} from "../../typechain-types/index.ts";
import type { Hex } from "../receipts/types.ts";
import type { AddressBook } from "./addressBook.ts";

/** Names of the deployed contracts, as in Solidity and in address books. */
export const CONTRACT_NAMES = [
  "OPG",
  "NodeStaking",
  "NodeRegistry",
  "ModelRegistry",
  "ZkmlVerifier",
  "ProofSettlement",
  "ZkReferee",
  "InferenceEscrow",
  "P384Verifier",
  "Sha384",
  "NitroAttestationVerifier",
  "TEEInferenceVerifier",
  "OpgPriceFeed",
] as const;
export type ContractName = (typeof CONTRACT_NAMES)[number];

/** The contracts of one deployment, typed. Reads go through the runner; send with `submitter.submit(contract.f.populateTransaction(…))`. */
export interface Contracts {
  readonly opg: OPG;
  readonly staking: NodeStaking;
  readonly nodes: NodeRegistry;
  readonly models: ModelRegistry;
  readonly zkml: ZkmlVerifier;
  readonly settlement: ProofSettlement;
  readonly referee: ZkReferee;
  readonly escrow: InferenceEscrow;
  readonly attestation: NitroAttestationVerifier;
  readonly teeInference: TEEInferenceVerifier;
  readonly priceFeed: OpgPriceFeed;
}

const FACTORIES = {
  OPG: OPG__factory,
  NodeStaking: NodeStaking__factory,
  NodeRegistry: NodeRegistry__factory,
  ModelRegistry: ModelRegistry__factory,
  ZkmlVerifier: ZkmlVerifier__factory,
  ProofSettlement: ProofSettlement__factory,
  ZkReferee: ZkReferee__factory,
  InferenceEscrow: InferenceEscrow__factory,
  P384Verifier: P384Verifier__factory,
  Sha384: Sha384__factory,
  NitroAttestationVerifier: NitroAttestationVerifier__factory,
  TEEInferenceVerifier: TEEInferenceVerifier__factory,
  OpgPriceFeed: OpgPriceFeed__factory,
} satisfies Record<ContractName, { abi: InterfaceAbi }>;

/** The address book is of other versions of the contracts than the bindings. */
export class OutdatedAddressBookError extends Error {
  override readonly name = "OutdatedAddressBookError";
  readonly code = "outdated_address_book";
}

/** keccak256 of a contract's ABI: its fragments in ethers' minimal form, sorted, one a line. */
export function abiHash(name: ContractName): Hex {
  return id(new Interface(FACTORIES[name].abi).format(true).sort().join("\n")) as Hex;
}

/**
 * Typed handles for the contracts of an address book.
 * @throws OutdatedAddressBookError when an ABI differs from the one that was deployed.
 */
export function connectContracts(book: AddressBook, runner: ContractRunner): Contracts {
  const outdated = CONTRACT_NAMES.filter((name) => book.contracts[name].abiHash !== abiHash(name));
  if (outdated.length > 0) {
    throw new OutdatedAddressBookError(
      `The deployment "${book.network}" has other versions of ${outdated.join(", ")} than typechain-types: deploy again`,
    );
  }
  const address = (name: ContractName) => getAddress(book.contracts[name].address);
  return {
    opg: OPG__factory.connect(address("OPG"), runner),
    staking: NodeStaking__factory.connect(address("NodeStaking"), runner),
    nodes: NodeRegistry__factory.connect(address("NodeRegistry"), runner),
    models: ModelRegistry__factory.connect(address("ModelRegistry"), runner),
    zkml: ZkmlVerifier__factory.connect(address("ZkmlVerifier"), runner),
    settlement: ProofSettlement__factory.connect(address("ProofSettlement"), runner),
    referee: ZkReferee__factory.connect(address("ZkReferee"), runner),
    escrow: InferenceEscrow__factory.connect(address("InferenceEscrow"), runner),
    attestation: NitroAttestationVerifier__factory.connect(address("NitroAttestationVerifier"), runner),
    teeInference: TEEInferenceVerifier__factory.connect(address("TEEInferenceVerifier"), runner),
    priceFeed: OpgPriceFeed__factory.connect(address("OpgPriceFeed"), runner),
  };
}
