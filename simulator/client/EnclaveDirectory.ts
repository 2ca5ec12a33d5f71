import type { Provider } from "ethers";
import {
  IEnclaveRegistry__factory,
  INitroAttestationVerifier__factory,
  type IEnclaveRegistry,
} from "../../typechain-types/index.ts";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { checkEnclave } from "./checkEnclave.ts";
import { EnclaveError } from "./EnclaveError.ts";
import { DEFAULT_POLICY, type EnclavePolicy, type RegisteredEnclave } from "./EnclavePolicy.ts";

export interface EnclaveDirectoryOptions {
  provider: Provider;
  /** NodeRegistry. */
  registry: Hex;
  policy?: EnclavePolicy;
  /** How long the list is taken as known. Default 300,000. */
  refreshMs?: number;
  /** After a failure the list is read again, but not more often than this. Default 1,000. */
  minRefreshMs?: number;
  /** Unix seconds. Default: this machine's clock. */
  nowSeconds?: () => number;
}

/** The enclaves of a type, as of one reading. */
export interface EnclaveListing {
  /** In service, and within the policy. */
  enclaves: readonly RegisteredEnclave[];
  /** Why the others are not used, by teeId. */
  refused: ReadonlyMap<Hex, EnclaveError>;
}

type TeeInfo = Awaited<ReturnType<IEnclaveRegistry["getActiveTEEs"]>>[number];
type Verifiers = Awaited<ReturnType<IEnclaveRegistry["verifiers"]>>;

/** The enclaves in service, from the registry on chain and nowhere else. */
export class EnclaveDirectory {
  readonly #options: EnclaveDirectoryOptions;
  readonly #registry: IEnclaveRegistry;
  readonly #now: () => number;
  /** Verifier → its root, which never changes. */
  readonly #roots = new Map<string, Hex>();
  #listing: Promise<EnclaveListing> | undefined;
  #readAtMs = 0;
  #suspect = false;

  constructor(options: EnclaveDirectoryOptions) {
    this.#options = options;
    this.#registry = IEnclaveRegistry__factory.connect(options.registry, { provider: options.provider });
    this.#now = options.nowSeconds ?? (() => Math.floor(Date.now() / 1000));
  }

  /** What the registry said at the last reading, as far as it still holds now. */
  async list(): Promise<EnclaveListing> {
    const { refreshMs = 300_000, minRefreshMs = 1_000 } = this.#options;
    const age = Date.now() - this.#readAtMs;
    if (this.#listing === undefined || age >= (this.#suspect ? minRefreshMs : refreshMs)) return this.refresh();
    const { enclaves, refused } = await this.#listing;
    const current = this.#judge(enclaves, refused);
    // what has worn out since may have been renewed
    const worn = current.enclaves.length < enclaves.length && age >= minRefreshMs;
    return worn ? this.refresh() : current;
  }

  /** Reads the registry now. */
  async refresh(): Promise<EnclaveListing> {
    const reading = this.#read();
    this.#listing = reading;
    this.#readAtMs = Date.now();
    this.#suspect = false;
    reading.catch(() => {
      if (this.#listing === reading) this.#listing = undefined;
    });
    return reading;
  }

  /** What was read may be out of date: an enclave was not what it should be. */
  suspect(): void {
    this.#suspect = true;
  }

  /** Whether an enclave was live at `timestamp`, unix seconds, and still is: asked anew each time. */
  async isLive(teeId: Hex, timestamp: bigint): Promise<boolean> {
    const answers = await Promise.all([this.#registry.isLiveAt(teeId, timestamp), this.#registry.isTEEEnabled(teeId)]);
    return answers.every(Boolean);
  }

  async #read(): Promise<EnclaveListing> {
    const { teeType } = { ...DEFAULT_POLICY, ...this.#options.policy };
    const [infos, verifiers] = await Promise.all([this.#registry.getActiveTEEs(teeType), this.#registry.verifiers()]);
    const entries = await Promise.all(infos.map((info) => this.#entry(info, verifiers)));
    return this.#judge(entries, new Map());
  }

  #judge(entries: readonly RegisteredEnclave[], known: EnclaveListing["refused"]): EnclaveListing {
    const refused = new Map(known);
    const enclaves = entries.filter((entry) => {
      try {
        checkEnclave(entry, this.#options.policy ?? {}, this.#now());
        return true;
      } catch (error) {
        if (!(error instanceof EnclaveError)) throw error;
        refused.set(entry.teeId, error);
        return false;
      }
    });
    return { enclaves, refused };
  }

  async #entry(info: TeeInfo, verifiers: Verifiers): Promise<RegisteredEnclave> {
    const signingKey = bytes(info.publicKey);
    const teeId = keccak256(signingKey);
    const [key, { attestedAt, liveUntil, heartbeatAt, verifier }] = await this.#registry.enclave(teeId);
    const vouching = verifiers[Number(verifier)];
    return {
      teeId,
      key: key.toLowerCase() as Hex,
      operator: info.owner.toLowerCase() as Hex,
      payout: info.paymentAddress.toLowerCase() as Hex,
      endpoint: info.endpoint,
      signingKey,
      tlsCertificate: bytes(info.tlsCertificate),
      sealingKey: bytes(info.ohttpConfig.publicKey),
      pcrHash: info.pcrHash.toLowerCase() as Hex,
      attestedAt: Number(attestedAt),
      liveUntil: Number(liveUntil),
      heartbeatAt: Number(heartbeatAt),
      root: vouching === undefined ? "0x" : await this.#root(vouching.verifier),
      verifierInUse: vouching?.removedAt === 0n,
    };
  }

  async #root(verifier: string): Promise<Hex> {
    const known = this.#roots.get(verifier);
    if (known !== undefined) return known;
    const contract = INitroAttestationVerifier__factory.connect(verifier, { provider: this.#options.provider });
    const root = (await contract.root()).toLowerCase() as Hex;
    this.#roots.set(verifier, root);
    return root;
  }
}

const bytes = (hex: string): Buffer => Buffer.from(hex.slice(2), "hex");
