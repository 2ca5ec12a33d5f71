import { hexlify, randomBytes, ZeroAddress } from "ethers";
import { requestIdForPayment } from "../../receipts/requestId.ts";
import type { Hex, SettlementDomain } from "../../receipts/types.ts";
import type { InferenceDriver } from "../InferenceDriver.ts";
import type { NodeDirectory } from "../NodeDirectory.ts";
import { nodeDown, offersFor } from "../offers.ts";
import { inputHashOf, type ModelRequest } from "../requestSchemas.ts";
import type { RequestStore } from "../RequestStore.ts";
import type { Purchase } from "./PaymentMethod.ts";

export interface FreeDeskOptions {
  store: RequestStore;
  driver: InferenceDriver;
  directory: NodeDirectory;
  domain: SettlementDomain;
  asset: Hex;
}

/** Development chains, by Hardhat's, Ganache's and geth's convention. */
const DEVELOPMENT_CHAINS: readonly bigint[] = [31_337n, 1_337n];

/** Whether a chain is one where nothing is worth anything. */
export const isDevelopmentChain = (chainId: bigint): boolean => DEVELOPMENT_CHAINS.includes(chainId);

const FREE = { baseWei: 0n, inputWei: 0n, outputWei: 0n };
const FOREVER = Number.MAX_SAFE_INTEGER;

/**
 * Gives answers away: for development, and to measure what payments cost. Receipts are signed as ever, with no fee, by nobody (the zero
 * address) and of the type private, which no node settles.
 */
export class FreeDesk {
  readonly #options: FreeDeskOptions;

  constructor(options: FreeDeskOptions) {
    this.#options = options;
  }

  /** @throws GatewayError */
  give(request: ModelRequest): Purchase {
    const { store, driver, directory, domain, asset } = this.#options;
    const offer = offersFor(directory, request).find(({ node }) => directory.isUp(node));
    if (offer === undefined) throw nodeDown();
    const nonce = hexlify(randomBytes(32)) as Hex;
    const payment = { asset, payer: ZeroAddress as Hex, nonce };
    const reserved = store.reserve(
      {
        key: `free/${nonce}`,
        scheme: "none",
        payment,
        amountWei: 0n,
        tariff: FREE,
        signature: "",
        hash: request.hash,
        kind: request.kind,
        stream: request.stream,
        body: request.raw,
        nodeUrl: offer.node.url,
        requestId: requestIdForPayment(domain, offer.operator, payment),
        modelId: offer.modelId,
        inputHash: inputHashOf(request, offer),
        settlement: "private",
        validBefore: FOREVER,
      },
      0n,
    );
    if ("refused" in reserved) throw new Error("Expected nothing to be owed for what is free");
    return { request: reserved, answer: driver.run(reserved) };
  }
}
