import { Signature, TypedDataEncoder, type TypedDataField } from "ethers";
import type { Logger } from "pino";

import type { NodeRegistry } from "../../typechain-types/index.ts";
import type { Chain } from "../chain/connectChain.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import type { Enclave } from "./Enclave.ts";
import type { EnclaveRegistrar } from "./EnclaveRegistrar.ts";

export const HEARTBEAT_TYPES: Record<string, TypedDataField[]> = {
  Heartbeat: [
    { name: "teeId", type: "bytes32" },
    { name: "timestamp", type: "uint256" },
  ],
};

/** Which registry a heartbeat is for: it is good for no other. */
export interface RegistryDomain {
  chainId: bigint;
  /** Address of NodeRegistry. */
  verifyingContract: Hex;
}

/** An enclave's word that it lives at `timestamp`, unix seconds: 65 bytes of EIP-712 signature. */
export function signHeartbeat(
  { teeId, signer }: Pick<Enclave, "teeId" | "signer">,
  domain: RegistryDomain,
  timestamp: bigint,
): Hex {
  const full = { name: "OpenGradient", version: "1", ...domain };
  const digest = TypedDataEncoder.hash(full, HEARTBEAT_TYPES, { teeId, timestamp });
  return Signature.from(signer.sign(digest as Hex)).serialized as Hex;
}

export interface EnclaveKeeperOptions {
  chain: Chain;
  nodes: NodeRegistry;
  enclave: Enclave;
  registrar: EnclaveRegistrar;
  /** Brings heartbeats; any funded account may. */
  submitter: TransactionSubmitter;
  domain: RegistryDomain;
  logger: Logger;
  /** Default: half of the registry's maximum age. */
  heartbeatMs?: number;
}

/** A third of its life before an attestation wears out, a new one is brought. */
const RENEW_AT = 1 / 3;

/** Keeps a registered enclave in service: a heartbeat every so often, and a new attestation in time. */
export class EnclaveKeeper {
  readonly #options: EnclaveKeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: EnclaveKeeperOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#stopped = false;
    const everyMs = this.#options.heartbeatMs ?? Number(await this.#options.nodes.heartbeatMaxAge()) * 500;
    this.#timer = setInterval(() => {
      this.#beating = this.#beating.then(() => (this.#stopped ? undefined : this.#beat()));
    }, everyMs);
    this.#timer.unref();
  }

  /** Lets a heartbeat under way end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#beating;
  }

  /** Sends a heartbeat for the chain's time, and renews when it is time to. @throws ContractRevertError */
  async keep(): Promise<void> {
    const { chain, nodes, enclave, registrar, submitter, domain } = this.#options;
    const block = await chain.provider.getBlock("latest");
    const now = BigInt(block!.timestamp);
    const [[, { liveUntil, heartbeatAt }], ttl] = await Promise.all([
      nodes.enclave(enclave.teeId),
      nodes.attestationTtl(),
    ]);
    if (Number(liveUntil - now) < Number(ttl) * RENEW_AT) {
      await registrar.renew(enclave);
      return;
    }
    // blocks may share a second, heartbeats may not
    if (now <= heartbeatAt) return;
    const signature = signHeartbeat(enclave, domain, now);
    await submitter.submit(nodes.heartbeat.populateTransaction(enclave.teeId, now, signature), { label: "heartbeat" });
  }

  async #beat(): Promise<void> {
    const { logger, enclave } = this.#options;
    // an enclave that was revoked stays so; whatever else it is may have passed by the next beat
    await this.keep().catch((error: unknown) => logger.warn({ err: error, teeId: enclave.teeId }, "heartbeat failed"));
  }
}
