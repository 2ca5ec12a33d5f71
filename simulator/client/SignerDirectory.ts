import type { Provider } from "ethers";
import { Mode, type Hex } from "../receipts/types.ts";
import { NodeRegistry__factory, type NodeRegistry } from "../../typechain-types/index.ts";

/** Who may sign receipts. */
export interface SignerDirectory {
  /** The operator that `key` signs for in `mode` at unix second `at`; undefined when it may not. */
  operatorOf(key: Hex, mode: Mode, at: bigint): Promise<Hex | undefined>;
}

interface SignerRecord {
  operator: Hex;
  validFrom: bigint;
  validUntil: bigint;
  modes: bigint;
}

/**
 * NodeRegistry's keys, those of enclaves too: in mode TEE it is asked each time, since what ends an enclave is not in a record of its key. Another record is read again after `ttlMs`: a key that is revoked is trusted for that much longer, and what it signs
 * then does not settle.
 */
export class OnChainSignerDirectory implements SignerDirectory {
  readonly #registry: NodeRegistry;
  readonly #ttlMs: number;
  readonly #known = new Map<Hex, { record: Promise<SignerRecord>; untilMs: number }>();

  constructor(provider: Provider, nodeRegistry: Hex, ttlMs = 5_000) {
    this.#registry = NodeRegistry__factory.connect(nodeRegistry, { provider });
    this.#ttlMs = ttlMs;
  }

  async operatorOf(key: Hex, mode: Mode, at: bigint): Promise<Hex | undefined> {
    if (mode === Mode.Tee) {
      const attested = (await this.#registry.findOperator(key, mode, at)).toLowerCase() as Hex;
      return BigInt(attested) === 0n ? undefined : attested;
    }
    const { operator, validFrom, validUntil, modes } = await this.#record(key);
    const valid = validFrom <= at && at < validUntil && ((modes >> BigInt(mode)) & 1n) === 1n;
    return valid ? operator : undefined;
  }

  #record(key: Hex): Promise<SignerRecord> {
    const now = Date.now();
    const known = this.#known.get(key);
    if (known !== undefined && now < known.untilMs) return known.record;
    const record = this.#registry.signers(key).then(({ operator, validFrom, validUntil, modes }) => ({
      operator: operator.toLowerCase() as Hex,
      validFrom,
      validUntil,
      modes,
    }));
    record.catch(() => this.#known.delete(key));
    this.#known.set(key, { record, untilMs: now + this.#ttlMs });
    return record;
  }
}
