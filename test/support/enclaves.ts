import { JsonRpcProvider, type Wallet } from "ethers";
import type { Enclave } from "../../simulator/enclave/Enclave.ts";
import type { Hex } from "../../simulator/receipts/types.ts";
import { NodeRegistry__factory, NodeStaking__factory, type NodeRegistry } from "../../typechain-types/index.ts";
import { deployVerifier } from "./attestation.ts";

const UNBONDING_SECONDS = 7 * 86_400;
const GAS_CAP = 16_777_216n;
const INFERENCE_ROLE = 0;

/** NodeRegistry, without a least stake, with a real verifier of attestations under the test root. */
export async function deployEnclaveRegistry(owner: Wallet, opg: string): Promise<NodeRegistry> {
  const staking = await new NodeStaking__factory(owner).deploy(opg, owner.address, UNBONDING_SECONDS);
  const nodes = await new NodeRegistry__factory(owner).deploy(await staking.getAddress(), owner.address);
  const { verifier } = await deployVerifier(owner);
  await (await nodes.addVerifier(await verifier.getAddress())).wait();
  return nodes;
}

export interface EnclaveRegistration {
  /** Connected to its owner. */
  nodes: NodeRegistry;
  /** JSON-RPC of the chain. */
  url: string;
  operator: Wallet;
  payout: string;
  endpoint: string;
  teeType?: number;
}

/** Approves the enclave's image where it is new, registers a node for it, and the enclave by a real attestation. */
export async function registerEnclave(
  enclave: Enclave,
  { nodes, url, operator, payout, endpoint, teeType = 0 }: EnclaveRegistration,
): Promise<void> {
  const pcrHash = await nodes.computePCRHash(enclave.measurements);
  if (!(await nodes.isPCRApproved(teeType, pcrHash))) {
    await (await nodes.approvePCR(enclave.measurements, "test", teeType)).wait();
  }
  // a first attestation may take a busy machine longer than an actor waits for one answer
  const patient = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
  try {
    await register(enclave, nodes.connect(operator.connect(patient)), payout, endpoint, teeType);
  } finally {
    patient.destroy();
  }
}

async function register(
  enclave: Enclave,
  nodes: NodeRegistry,
  payout: string,
  endpoint: string,
  teeType: number,
): Promise<void> {
  const registered = await (await nodes.register(INFERENCE_ROLE, payout, endpoint)).wait();
  const nodeId = registered!.logs[0]!.topics[1]!;
  const asked = await (await nodes.requestChallenge(nodeId, teeType)).wait();
  const issued = asked!.logs.map((log) => nodes.interface.parseLog(log)).find((log) => log?.name === "ChallengeIssued");
  const challenge = issued!.args.getValue("challenge") as Hex;
  const document = enclave.attest(Buffer.from(challenge.slice(2), "hex"));
  const { publicKeyDer, tlsCertificateDer } = enclave;
  const registering = await nodes.registerEnclave(nodeId, teeType, 0, document, publicKeyDer, tlsCertificateDer, {
    gasLimit: GAS_CAP,
  });
  await registering.wait();
}
