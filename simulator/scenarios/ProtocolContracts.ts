import type { AddressBook } from "../chain/addressBook.ts";
import type { Chain } from "../chain/connectChain.ts";
import { connectContracts, type Contracts } from "../chain/contracts.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";

/** One deployment: typed handles for reads, plain addresses for actors. */
export interface ProtocolContracts extends Contracts {
  addresses: Record<keyof Contracts, Hex>;
  /** Of receipts and batches. */
  domain: SettlementDomain;
  chainId: bigint;
  /** No event is older. */
  startBlock: number;
}

export function protocolContracts(book: AddressBook, chain: Chain): ProtocolContracts {
  const { OPG, NodeStaking, NodeRegistry, ModelRegistry, ProofSettlement, InferenceEscrow } = book.contracts;
  const { ZkmlVerifier, ZkReferee, NitroAttestationVerifier, TEEInferenceVerifier, OpgPriceFeed } = book.contracts;
  return {
    ...connectContracts(book, chain.provider),
    addresses: {
      opg: OPG.address,
      staking: NodeStaking.address,
      nodes: NodeRegistry.address,
      models: ModelRegistry.address,
      zkml: ZkmlVerifier.address,
      settlement: ProofSettlement.address,
      referee: ZkReferee.address,
      escrow: InferenceEscrow.address,
      attestation: NitroAttestationVerifier.address,
      teeInference: TEEInferenceVerifier.address,
      priceFeed: OpgPriceFeed.address,
    },
    domain: { chainId: chain.chainId, verifyingContract: ProofSettlement.address },
    chainId: chain.chainId,
    startBlock: book.startBlock,
  };
}
