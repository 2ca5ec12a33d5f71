import { Interface, type Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { ChainReads, type ReadCall } from "./ChainReads.ts";
import { MULTICALL3, type CallResult } from "./multicall.ts";
import type { PaymentAuthorization } from "./payment.ts";
import { nonceBit, PERMIT2, permit2Interface } from "./permit2.ts";
import { tokenInterface } from "./settlementCall.ts";

/** What the chain says about a payer and one of its authorizations. */
export interface PayerState {
  /** The payer is a contract, or delegates to one: it signs in its own way. */
  isContract: boolean;
  balanceWei: bigint;
  /** What Permit2 may move. */
  allowanceWei: bigint;
  nonceUsed: boolean;
  /** The chain's clock, Unix seconds. */
  timestamp: bigint;
  /** Not asked for just now. */
  remembered: boolean;
}

interface Entry extends PayerState {
  readAtMs: number;
}

const clockInterface = new Interface(["function getCurrentBlockTimestamp() view returns (uint256)"]);
const CLOCK: ReadCall = {
  target: MULTICALL3,
  callData: clockInterface.encodeFunctionData("getCurrentBlockTimestamp"),
};
const separatorInterface = new Interface(["function DOMAIN_SEPARATOR() view returns (bytes32)"]);

/** Payers remembered at a time. */
const MAX_ENTRIES = 10_000;

/** Reads and remembers what the verification of a payment needs of the chain. */
export class PayerStates {
  readonly #provider: Provider;
  readonly #reads: ChainReads;
  readonly #cacheMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #separators = new Map<Hex, Promise<Hex | undefined>>();
  readonly #codes = new Map<Hex, { code: Promise<string>; readAtMs: number }>();

  /** @param cacheMs how long an answer is good for. */
  constructor(provider: Provider, cacheMs: number) {
    this.#provider = provider;
    this.#reads = new ChainReads(provider);
    this.#cacheMs = cacheMs;
  }

  /** @param fresh whether it has to be asked now. */
  async of(authorization: PaymentAuthorization, fresh = false): Promise<PayerState> {
    const key = [authorization.method, authorization.asset, authorization.payer, authorization.nonce].join("/");
    const found = this.#entries.get(key);
    const nowMs = performance.now();
    if (!fresh && found !== undefined && nowMs - found.readAtMs < this.#cacheMs) return { ...found, remembered: true };
    const state = await this.#read(authorization);
    this.#entries.delete(key);
    this.#entries.set(key, { ...state, readAtMs: nowMs });
    dropOldest(this.#entries);
    return state;
  }

  /** The token's EIP-712 domain separator; undefined when it does not tell. */
  separatorOf(asset: Hex): Promise<Hex | undefined> {
    const known = this.#separators.get(asset);
    if (known !== undefined) return known;
    const callData = separatorInterface.encodeFunctionData("DOMAIN_SEPARATOR");
    const reading = this.#reads.read([{ target: asset, callData }]).then(([result]) => {
      return result!.success && result!.returnData.length === 66 ? result!.returnData : undefined;
    });
    this.#separators.set(asset, reading);
    reading.catch(() => this.#separators.delete(asset));
    return reading;
  }

  async #read({ method, asset, payer, nonce }: PaymentAuthorization): Promise<PayerState> {
    const balance = { target: asset, callData: tokenInterface.encodeFunctionData("balanceOf", [payer]) };
    const calls =
      method === "eip3009"
        ? [
            CLOCK,
            balance,
            { target: asset, callData: tokenInterface.encodeFunctionData("authorizationState", [payer, nonce]) },
          ]
        : [
            CLOCK,
            balance,
            {
              target: PERMIT2,
              callData: permit2Interface.encodeFunctionData("nonceBitmap", [payer, nonceBit(nonce).word]),
            },
            { target: asset, callData: tokenInterface.encodeFunctionData("allowance", [payer, PERMIT2]) },
          ];
    const [code, results] = await Promise.all([this.#codeOf(payer), this.#reads.read(calls)]);
    const [timestamp, balanceWei, used, allowanceWei = 0n] = results.map(wordOf) as [bigint, bigint, bigint, bigint?];
    return {
      isContract: code !== "0x",
      timestamp,
      balanceWei,
      allowanceWei,
      nonceUsed: method === "eip3009" ? used !== 0n : (used & nonceBit(nonce).mask) !== 0n,
      remembered: false,
    };
  }

  #codeOf(payer: Hex): Promise<string> {
    const nowMs = performance.now();
    const known = this.#codes.get(payer);
    if (known !== undefined && nowMs - known.readAtMs < this.#cacheMs) return known.code;
    const code = this.#provider.getCode(payer);
    code.catch(() => this.#codes.delete(payer));
    this.#codes.delete(payer);
    this.#codes.set(payer, { code, readAtMs: nowMs });
    dropOldest(this.#codes);
    return code;
  }
}

/** Entries are put at the end when they are renewed. */
function dropOldest(entries: Map<unknown, unknown>): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= MAX_ENTRIES) return;
    entries.delete(oldest);
  }
}

function wordOf({ success, returnData }: CallResult): bigint {
  if (!success || returnData.length !== 66) throw new Error("Expected a word from the token and from Permit2");
  return BigInt(returnData);
}
