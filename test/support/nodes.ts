import { ethers, type BaseWallet, type ContractTransactionResponse, type Signer } from "ethers";

import { Role, signerConsent, type Protocol } from "./protocol.ts";

export const ENDPOINT = "https://node.example";
/** A validity that no test reaches. */
export const FAR_FUTURE = 2 ** 40 - 1;

/** The id of the `number`-th node `operator` registers, from zero. */
export async function nodeIdOf({ nodes, connection }: Protocol, operator: Signer, number: number): Promise<string> {
  const { chainId } = await connection.ethers.provider.getNetwork();
  return ethers.keccak256(
    ethers.AbiCoder.defaultAbiCoder().encode(
      ["uint256", "address", "address", "uint256"],
      [chainId, await nodes.getAddress(), await operator.getAddress(), number],
    ),
  );
}

/** Registers the first node of `operator`, without a key, and returns its id. */
export async function registerKeyless(protocol: Protocol, operator: Signer): Promise<string> {
  await protocol.nodes.connect(operator).register(Role.Inference, operator, ENDPOINT);
  return nodeIdOf(protocol, operator, 0);
}

/** Adds `key`, with its consent, to a node of `operator`. */
export async function addKey(
  { nodes }: Protocol,
  operator: Signer,
  nodeId: string,
  key: BaseWallet,
  validUntil = FAR_FUTURE,
): Promise<ContractTransactionResponse> {
  const consent = await signerConsent(nodes, nodeId, await operator.getAddress(), key, validUntil);
  return nodes.connect(operator).addSigner(nodeId, key, validUntil, consent);
}
