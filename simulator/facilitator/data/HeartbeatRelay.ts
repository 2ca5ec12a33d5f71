import { Signature, TypedDataEncoder, recoverAddress, type Signer } from "ethers";
import type { Logger } from "pino";
import { z } from "zod";
import { NodeRegistry__factory, type NodeRegistry } from "../../../typechain-types/index.ts";
import type { Chain } from "../../chain/connectChain.ts";
import { ContractRevertError } from "../../chain/ContractRevertError.ts";
import { TransactionSubmitter } from "../../chain/TransactionSubmitter.ts";
import { HEARTBEAT_TYPES } from "../../enclave/EnclaveKeeper.ts";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../../receipts/eip712.ts";
import { addressSchema, bytes32Schema, type Hex } from "../../receipts/types.ts";

/** `POST /heartbeat`. The contract may be named, and is then only compared. */
export const heartbeatSchema = z.object({
  teeId: bytes32Schema,
  timestamp: z.union([z.int().min(0), z.string().regex(/^\d{1,15}$/)]).transform((value) => BigInt(value)),
  /** 65 bytes, as 0x-prefixed hexadecimal or base64. */
  signature: z
    .union([z.string().regex(/^0x[0-9a-fA-F]{130}$/), z.base64().length(88)])
    .transform((text): Hex =>
      text.startsWith("0x") ? (text as Hex) : `0x${Buffer.from(text, "base64").toString("hex")}`,
    ),
  contractAddress: addressSchema.optional(),
});

export type Heartbeat = z.output<typeof heartbeatSchema>;

export type HeartbeatRefusal =
  | "other_contract"
  | "unknown_enclave"
  | "enclave_not_live"
  | "invalid_signature"
  | "timestamp_too_old"
  | "timestamp_in_future"
  | "heartbeat_under_way"
  | "refused_by_registry";

/** A heartbeat that the registry would not take. Nothing was sent. */
export class HeartbeatError extends Error {
  override readonly name = "HeartbeatError";
  readonly code: HeartbeatRefusal;

  constructor(code: HeartbeatRefusal, message: string) {
    super(message);
    this.code = code;
  }
}

export interface RelayedHeartbeat {
  txHash: Hex;
  relayer: Hex;
  contract: Hex;
}

export interface HeartbeatRelayOptions {
  chain: Chain;
  /** NodeRegistry: the only contract that is ever called. */
  registry: Hex;
  /** Pays the gas. Its account must not be used elsewhere at the same time, not by the facilitator either. */
  signer: Signer;
  logger: Logger;
}

/** Brings enclaves' heartbeats to the registry, for operators that hold no gas. What the registry would refuse is refused before any is spent. */
export class HeartbeatRelay {
  readonly #registry: NodeRegistry;
  readonly #options: HeartbeatRelayOptions;
  readonly #submitter: TransactionSubmitter;
  readonly #busy = new Set<Hex>();

  constructor(options: HeartbeatRelayOptions) {
    const { chain, registry, signer, logger } = options;
    this.#options = options;
    this.#registry = NodeRegistry__factory.connect(registry, { provider: chain.provider });
    this.#submitter = new TransactionSubmitter({ chain, signer, logger });
  }

  async start(): Promise<void> {
    await this.#submitter.start();
  }

  async stop(): Promise<void> {
    await this.#submitter.stop();
  }

  /** @throws HeartbeatError */
  async relay(heartbeat: Heartbeat): Promise<RelayedHeartbeat> {
    const { teeId, timestamp, signature } = heartbeat;
    if (this.#busy.has(teeId)) {
      throw new HeartbeatError("heartbeat_under_way", "A heartbeat of this enclave is on its way to the chain");
    }
    this.#busy.add(teeId);
    try {
      await this.#check(heartbeat);
      const call = this.#registry.heartbeat.populateTransaction(teeId, timestamp, signature);
      const receipt = await this.#submitter.submit(call, { label: `heartbeat ${teeId}` }).catch(revert);
      this.#options.logger.debug({ teeId, transaction: receipt.hash }, "heartbeat relayed");
      const relayer = (await this.#options.signer.getAddress()).toLowerCase() as Hex;
      return { txHash: receipt.hash as Hex, relayer, contract: this.#options.registry };
    } finally {
      this.#busy.delete(teeId);
    }
  }

  /** In the order of cost: what needs no chain, then one round of reads, then a recovery. */
  async #check({ teeId, timestamp, signature, contractAddress }: Heartbeat): Promise<void> {
    const { chain, registry } = this.#options;
    const refuse = (code: HeartbeatRefusal, message: string): never => {
      throw new HeartbeatError(code, message);
    };
    if (contractAddress !== undefined && contractAddress !== registry) {
      refuse("other_contract", `Heartbeats go to ${registry}, not to ${contractAddress}`);
    }
    const [[key, { heartbeatAt }], live, maxAge, head] = await Promise.all([
      this.#registry.enclave(teeId),
      this.#registry.isTEEEnabled(teeId),
      this.#registry.heartbeatMaxAge(),
      chain.provider.getBlock("latest"),
    ]);
    if (BigInt(key) === 0n) refuse("unknown_enclave", `The registry has no enclave ${teeId}`);
    if (!live) refuse("enclave_not_live", "The enclave was disabled, or its image or attestation is no longer good");
    const now = BigInt(head!.timestamp);
    // a chain that has no blocks without transactions stands still; the next one has at least this machine's time
    const latest = now > BigInt(Math.floor(Date.now() / 1000)) ? now : BigInt(Math.floor(Date.now() / 1000));
    if (timestamp > latest) refuse("timestamp_in_future", `Expected at most ${latest}, found ${timestamp}`);
    const notBefore = heartbeatAt + 1n > latest - maxAge ? heartbeatAt + 1n : latest - maxAge;
    if (timestamp < notBefore) refuse("timestamp_too_old", `Expected at least ${notBefore}, found ${timestamp}`);
    const domain = {
      name: DOMAIN_NAME,
      version: DOMAIN_VERSION,
      chainId: chain.chainId,
      verifyingContract: registry,
    };
    const digest = TypedDataEncoder.hash(domain, HEARTBEAT_TYPES, { teeId, timestamp });
    if (signerOf(digest, signature) !== key.toLowerCase()) {
      refuse("invalid_signature", "The enclave's key did not sign this heartbeat for this registry and chain");
    }
  }
}

/** The estimate before sending says so, or the call was overtaken by another. */
function revert(error: unknown): never {
  if (error instanceof ContractRevertError) throw new HeartbeatError("refused_by_registry", error.message);
  throw error;
}

function signerOf(digest: string, signature: Hex): string | undefined {
  try {
    // reads only the one spelling of a signature that the contract takes
    return recoverAddress(digest, Signature.from(signature)).toLowerCase();
  } catch {
    return undefined;
  }
}
