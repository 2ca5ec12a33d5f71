import { Wallet, type TypedDataField } from "ethers";

import type { Hex } from "../receipts/types.ts";
import type { Participant } from "./Participant.ts";
import type { ProtocolContracts } from "./ProtocolContracts.ts";

const ROLE_INFERENCE = 0;
const FAR_FUTURE = 2 ** 40 - 1;
const SIGNER_CONSENT: Record<string, TypedDataField[]> = {
  SignerConsent: [
    { name: "nodeId", type: "bytes32" },
    { name: "operator", type: "address" },
    { name: "validUntil", type: "uint40" },
  ],
};

/** Registers an inference node in service at `url`. @returns its id. */
export async function registerNode({ nodes }: ProtocolContracts, account: Participant, url: string): Promise<Hex> {
  const registered = await account.send(nodes.register.populateTransaction(ROLE_INFERENCE, account.address, url));
  const event = registered.logs
    .map((log) => nodes.interface.parseLog(log))
    .find((log) => log?.name === "NodeRegistered");
  return event!.args[0] as Hex;
}

/** Adds a key that signs a node's receipts in mode VANILLA, by its consent. */
export async function addSigner(
  { nodes, chainId, addresses }: ProtocolContracts,
  account: Participant,
  nodeId: Hex,
  signerKey: Hex,
): Promise<void> {
  const key = new Wallet(signerKey);
  const consent = await key.signTypedData(
    { name: "OpenGradient", version: "1", chainId, verifyingContract: addresses.nodes },
    SIGNER_CONSENT,
    { nodeId, operator: account.address, validUntil: FAR_FUTURE },
  );
  await account.send(nodes.addSigner.populateTransaction(nodeId, key.address, FAR_FUTURE, consent));
}
