import { keccak256, type TransactionReceipt, type TransactionRequest } from "ethers";
import type { Logger } from "pino";

import { NitroAttestationVerifier__factory, type NodeRegistry } from "../../typechain-types/index.ts";
import { contractRevertOf } from "../chain/ContractRevertError.ts";
import { ChainProvider } from "../chain/ChainProvider.ts";
import type { Chain } from "../chain/connectChain.ts";
import { TRANSACTION_GAS_CAP, type TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { certificateName } from "./certificateName.ts";
import type { Enclave } from "./Enclave.ts";
import { readDocument } from "./readDocument.ts";

/** Types of enclaves that every registry has. */
export const TeeType = { LlmProxy: 0, Validator: 1 } as const;

export interface EnclaveRegistrarOptions {
  chain: Chain;
  nodes: NodeRegistry;
  /** Of the node's operator, who alone may register. */
  submitter: TransactionSubmitter;
  logger: Logger;
  /** Certificates are brought in transactions of their own when the estimate is above this. Default 16,000,000, where the cap is 16,777,216. */
  stagingThreshold?: bigint;
  /** Bound on an estimate by the node. Default 120,000. */
  estimateTimeoutMs?: number;
}

/** What bringing an attestation to the chain took. */
export interface Attested {
  teeId: Hex;
  /** Certificates that were brought before, in transactions of their own. */
  staged: number;
  /** Of the last transaction alone. */
  gasUsed: bigint;
}

/** No verifier in use trusts the root that the document's chain begins with. */
export class UnknownRootError extends Error {
  override readonly name = "UnknownRootError";
  readonly code = "unknown_root";
}

/** It takes more gas than a transaction may have, with every certificate staged. */
export class AttestationTooDearError extends Error {
  override readonly name = "AttestationTooDearError";
  readonly code = "attestation_too_dear";
}

/** Brings an enclave's attestation to the chain: asks for a challenge, has the enclave answer it, and pays for the check. */
export class EnclaveRegistrar {
  readonly #options: Required<EnclaveRegistrarOptions>;

  constructor(options: EnclaveRegistrarOptions) {
    this.#options = { stagingThreshold: 16_000_000n, estimateTimeoutMs: 120_000, ...options };
  }

  /**
   * Registers an enclave of a node.
   * @throws UnknownRootError, AttestationTooDearError, ContractRevertError
   */
  async register(nodeId: Hex, enclave: Enclave, teeType: number = TeeType.LlmProxy): Promise<Attested> {
    const { nodes } = this.#options;
    return this.#attest(nodeId, teeType, enclave, (verifier, document) =>
      nodes.registerEnclave.populateTransaction(
        nodeId,
        teeType,
        verifier,
        document,
        enclave.publicKeyDer,
        enclave.tlsCertificateDer,
      ),
    );
  }

  /**
   * Prolongs a registered enclave, before its last attestation wears out.
   * @throws UnknownRootError, AttestationTooDearError, ContractRevertError
   */
  async renew(enclave: Enclave): Promise<Attested> {
    const { nodes } = this.#options;
    const { teeId } = enclave;
    const [[, { nodeId }], { teeType }] = await Promise.all([nodes.enclave(teeId), nodes.getTEE(teeId)]);
    return this.#attest(nodeId as Hex, Number(teeType), enclave, (verifier, document) =>
      nodes.renewAttestation.populateTransaction(teeId, verifier, document),
    );
  }

  async #attest(
    nodeId: Hex,
    teeType: number,
    enclave: Enclave,
    call: (verifier: bigint, document: Uint8Array) => Promise<TransactionRequest>,
  ): Promise<Attested> {
    const { submitter, logger } = this.#options;
    const document = enclave.attest(Buffer.from((await this.#challenge(nodeId, teeType)).slice(2), "hex"));
    const { cabundle, certificate } = readDocument(document).payload;
    const certificates = [...cabundle, certificate];
    const verifier = await this.#verifierFor(certificates[0]!);
    const request = await call(verifier.index, document);

    let staged = 0;
    let gas = await this.#estimate(request);
    for (let i = 1; i < certificates.length && (gas === undefined || gas > this.#options.stagingThreshold); i++) {
      if (!(await this.#stage(verifier.address, certificates[i]!, certificates[i - 1]!))) continue;
      staged += 1;
      gas = await this.#estimate(request);
    }
    if (gas === undefined) throw new AttestationTooDearError("The attestation does not fit into a transaction");
    const receipt = await submitter.submit(request, { label: "attestation", gasLimit: withMargin(gas) });
    logger.info({ teeId: enclave.teeId, staged, gasUsed: receipt.gasUsed }, "enclave attested");
    return { teeId: enclave.teeId, staged, gasUsed: receipt.gasUsed };
  }

  async #challenge(nodeId: Hex, teeType: number): Promise<Hex> {
    const { nodes, submitter } = this.#options;
    const receipt = await submitter.submit(nodes.requestChallenge.populateTransaction(nodeId, teeType));
    return challengeOf(nodes, receipt);
  }

  /** The verifier in use for a root. */
  async #verifierFor(root: Uint8Array): Promise<{ index: bigint; address: string }> {
    const { nodes, chain } = this.#options;
    const hash = keccak256(root);
    for (const [index, { verifier, removedAt }] of (await nodes.verifiers()).entries()) {
      if (removedAt !== 0n) continue;
      const contract = NitroAttestationVerifier__factory.connect(verifier, chain.provider);
      if ((await contract.root()) === hash) return { index: BigInt(index), address: verifier };
    }
    throw new UnknownRootError(`No verifier in use trusts the root ${hash}`);
  }

  /** @returns whether it was new. */
  async #stage(verifier: string, certificate: Uint8Array, parent: Uint8Array): Promise<boolean> {
    const { chain, submitter } = this.#options;
    const contract = NitroAttestationVerifier__factory.connect(verifier, chain.provider);
    if ((await contract.certificateOf(certificateName(certificate))).notAfter !== 0n) return false;
    await submitter.submit(contract.stageCertificate.populateTransaction(certificate, parent), {
      label: "certificate",
    });
    return true;
  }

  /** undefined when it does not fit into a transaction. @throws ContractRevertError when it would not pass whatever it is given. */
  async #estimate({ to, data }: TransactionRequest): Promise<bigint | undefined> {
    const { chain, submitter, estimateTimeoutMs } = this.#options;
    const call = { to: to as string, data: data!, from: submitter.address };
    // a node runs it many times over to find out: longer than other requests may take, and not to be begun again
    const patient = new ChainProvider({ ...chain, requestTimeoutMs: estimateTimeoutMs, retries: 0 });
    try {
      return await patient.estimateGas(call);
    } catch (error) {
      const revert = contractRevertOf(error, { to: call.to });
      if (revert === undefined) throw error;
      // what runs out of gas gives no reason; what has one is refused however much gas there is
      if (revert.data !== "0x") throw revert;
      return undefined;
    } finally {
      patient.destroy();
    }
  }
}

function challengeOf(nodes: NodeRegistry, { logs }: TransactionReceipt): Hex {
  const event = logs.map((log) => nodes.interface.parseLog(log)).find((log) => log?.name === "ChallengeIssued");
  if (!event) throw new Error("Expected a ChallengeIssued event of the registry");
  return event.args.getValue("challenge") as Hex;
}

/** Estimates are of a state that may move a little, as certificates others bring. */
function withMargin(gas: bigint): bigint {
  const padded = gas + gas / 50n;
  return padded < TRANSACTION_GAS_CAP ? padded : TRANSACTION_GAS_CAP;
}
