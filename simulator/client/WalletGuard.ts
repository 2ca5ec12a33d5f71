import {
  authorizationTypes,
  BATCH_SETTLEMENT_ADDRESS,
  BATCH_SETTLEMENT_DOMAIN,
  ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
  PERMIT2_ADDRESS,
  permit2WitnessTypes,
  uptoPermit2WitnessTypes,
  voucherTypes,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyAddress,
  type ClientEvmSigner,
} from "@x402/evm";
import { Interface, MaxUint256, type Provider, type Signer, type TypedDataDomain } from "ethers";
import { z } from "zod";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import { addressSchema, bytes32Schema, type Hex } from "../receipts/types.ts";
import { PaymentDeclinedError } from "./ClientError.ts";
import type { PaymentLimits } from "./PaymentLimits.ts";

export interface WalletGuardOptions {
  wallet: Signer;
  limits: PaymentLimits;
  /** Reads allowances and channels; without it neither gas is sponsored nor a forgotten channel found again. */
  provider?: Provider | undefined;
  /** The most that a voucher of a channel may be for, wei; undefined for a channel that is not ours. */
  voucherCeilingWei?: (channelId: Hex) => bigint | undefined;
}

type Types = Record<string, { name: string; type: string }[]>;
type TypedMessage = Parameters<ClientEvmSigner["signTypedData"]>[0];

const uint = z.union([z.bigint(), z.string().regex(/^[0-9]+$/), z.int().min(0)]).transform(BigInt);
const transferSchema = z.strictObject({
  from: addressSchema,
  to: addressSchema,
  value: uint,
  validAfter: uint,
  validBefore: uint,
  nonce: bytes32Schema,
});
const permit2Schema = z.strictObject({
  permitted: z.strictObject({ token: addressSchema, amount: uint }),
  spender: addressSchema,
  nonce: uint,
  deadline: uint,
  witness: z.strictObject({ to: addressSchema, facilitator: addressSchema.optional(), validAfter: uint }),
});
const permitSchema = z.strictObject({
  owner: addressSchema,
  spender: addressSchema,
  value: uint,
  nonce: uint,
  deadline: uint,
});
const voucherSchema = z.strictObject({ channelId: bytes32Schema, maxClaimableAmount: uint });

/** Both of the token; the packages keep theirs to themselves. */
const RECEIVE_TYPES: Types = { ReceiveWithAuthorization: [...authorizationTypes.TransferWithAuthorization] };
const PERMIT_TYPES: Types = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
};

const lower = (address: string): Hex => address.toLowerCase() as Hex;
const PERMIT2 = lower(PERMIT2_ADDRESS);
const COLLECTOR = lower(ERC3009_DEPOSIT_COLLECTOR_ADDRESS);
const EXACT_PROXY = lower(x402ExactPermit2ProxyAddress);
const UPTO_PROXY = lower(x402UptoPermit2ProxyAddress);

/** `approve` costs about 46,000 gas; at 5 gwei this is the most ETH that a signed approval can burn. */
const MAX_APPROVAL_GAS = 100_000n;
const MAX_FEE_PER_GAS = 100_000_000_000n;
const APPROVE = new Interface(["function approve(address spender, uint256 value)"]);

/**
 * The wallet, as x402's packages get it. Whatever they are told to sign, this signs statements of six kinds only, in its own words (domain and types
 * are written here), and only within the limits: no other token, chain, spender, payee or facilitator, no more and for no longer.
 */
export class WalletGuard {
  readonly address: Hex;
  readonly #options: WalletGuardOptions;

  private constructor(address: Hex, options: WalletGuardOptions) {
    this.address = address;
    this.#options = options;
  }

  static async over(options: WalletGuardOptions): Promise<WalletGuard> {
    return new WalletGuard((await options.wallet.getAddress()) as Hex, options);
  }

  /** What signs payments. It can read the chain, and so sponsor gas, as far as the limits let it. */
  get payments(): ClientEvmSigner {
    const { provider, limits } = this.#options;
    const plain = { address: this.address, signTypedData: (data: TypedMessage) => this.#sign(data) };
    if (provider === undefined || limits.gasSponsoring === "none") return plain;
    const reading = { ...plain, readContract: readerOf(provider) };
    if (limits.gasSponsoring === "permit") return reading;
    return {
      ...reading,
      getTransactionCount: ({ address }) => provider.getTransactionCount(address),
      signTransaction: (transaction) => this.#approve(transaction),
    };
  }

  /** What signs deposits and vouchers. */
  get channels(): ClientEvmSigner {
    const { provider } = this.#options;
    return {
      address: this.address,
      signTypedData: (data) => this.#sign(data),
      ...(provider !== undefined && { readContract: readerOf(provider) }),
    };
  }

  async #sign({ primaryType, message }: TypedMessage): Promise<Hex> {
    switch (primaryType) {
      case "TransferWithAuthorization":
        return this.#signTransfer(read(transferSchema, message));
      case "ReceiveWithAuthorization":
        return this.#signDeposit(read(transferSchema, message));
      case "PermitWitnessTransferFrom":
        return this.#signPermit2(read(permit2Schema, message));
      case "Permit":
        return this.#signPermit(read(permitSchema, message));
      case "Voucher":
        return this.#signVoucher(read(voucherSchema, message));
      default:
        throw new PaymentDeclinedError(`A payment does not need a signature of "${primaryType}"`);
    }
  }

  #signTransfer(message: z.output<typeof transferSchema>): Promise<Hex> {
    const { maxPaymentWei } = this.#options.limits;
    this.#requireScheme("exact");
    this.#requirePayer(message.from);
    this.#requirePayee(message.to);
    requireAtMost("The transfer", message.value, maxPaymentWei);
    this.#requireTime(message.validBefore);
    return this.#speak(this.#token(), authorizationTypes, message);
  }

  #signDeposit(message: z.output<typeof transferSchema>): Promise<Hex> {
    this.#requireScheme("batch-settlement");
    this.#requirePayer(message.from);
    require(message.to === COLLECTOR, `A deposit goes to ${COLLECTOR}, not to ${message.to}`);
    requireAtMost("The deposit", message.value, this.#options.limits.maxDepositWei);
    this.#requireTime(message.validBefore);
    return this.#speak(this.#token(), RECEIVE_TYPES, message);
  }

  #signPermit2(message: z.output<typeof permit2Schema>): Promise<Hex> {
    const { permitted, spender, deadline, witness } = message;
    const { asset, facilitators, maxPaymentWei, maxSessionWei } = this.#options.limits;
    require(permitted.token === lower(asset), `Payments are in ${asset}, not in ${permitted.token}`);
    this.#requirePayee(witness.to);
    this.#requireTime(deadline);
    if (spender === EXACT_PROXY) {
      this.#requireScheme("exact");
      require(witness.facilitator === undefined, "A payment of a fixed price names no facilitator");
      requireAtMost("The payment", permitted.amount, maxPaymentWei);
      return this.#speak(this.#permit2(), permit2WitnessTypes, message);
    }
    require(spender === UPTO_PROXY, `${spender} is no x402 contract, so it may not spend`);
    this.#requireScheme("upto");
    const { facilitator } = witness;
    require(facilitator !== undefined, "The payment names nobody who may charge it");
    require(facilitators === undefined ||
      facilitators.some((each) => lower(each) === facilitator), `${facilitator} is not one who may charge`);
    requireAtMost("The authorization", permitted.amount, maxSessionWei);
    return this.#speak(this.#permit2(), uptoPermit2WitnessTypes, message);
  }

  #signPermit(message: z.output<typeof permitSchema>): Promise<Hex> {
    const { gasSponsoring, maxPaymentWei, maxSessionWei } = this.#options.limits;
    require(gasSponsoring !== "none", "No allowance may be given");
    this.#requirePayer(message.owner);
    require(message.spender === PERMIT2, `Only Permit2 may get an allowance, not ${message.spender}`);
    requireAtMost("The allowance", message.value, maxPaymentWei > maxSessionWei ? maxPaymentWei : maxSessionWei);
    this.#requireTime(message.deadline);
    return this.#speak(this.#token(), PERMIT_TYPES, message);
  }

  #signVoucher(message: z.output<typeof voucherSchema>): Promise<Hex> {
    const { channelId, maxClaimableAmount } = message;
    this.#requireScheme("batch-settlement");
    const ceilingWei = this.#options.voucherCeilingWei?.(channelId);
    require(ceilingWei !== undefined, `Channel ${channelId} is not ours`);
    requireAtMost("The voucher", maxClaimableAmount, ceilingWei!);
    const { chainId } = this.#options.limits;
    const domain = { ...BATCH_SETTLEMENT_DOMAIN, chainId, verifyingContract: BATCH_SETTLEMENT_ADDRESS };
    return this.#speak(domain, voucherTypes, message);
  }

  /** Signs the one transaction that may be: OPG.approve(Permit2, everything). */
  async #approve(transaction: Parameters<NonNullable<ClientEvmSigner["signTransaction"]>>[0]): Promise<Hex> {
    const { asset, chainId } = this.#options.limits;
    const { to, nonce, gas, maxFeePerGas, maxPriorityFeePerGas } = transaction;
    const data = APPROVE.encodeFunctionData("approve", [PERMIT2_ADDRESS, MaxUint256]);
    require(lower(to) === lower(asset) &&
      transaction.data === data &&
      BigInt(transaction.chainId) === chainId, "Only an approval of Permit2 for OPG may be signed as a transaction");
    require(gas <= MAX_APPROVAL_GAS && maxFeePerGas <= MAX_FEE_PER_GAS, "The approval would cost too much gas");
    const signed = await this.#options.wallet.signTransaction({
      type: 2,
      to: asset,
      data,
      nonce,
      gasLimit: gas,
      maxFeePerGas,
      maxPriorityFeePerGas,
      chainId,
    });
    return signed as Hex;
  }

  #token(): TypedDataDomain {
    const { asset, chainId } = this.#options.limits;
    return { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId, verifyingContract: asset };
  }

  #permit2(): TypedDataDomain {
    return { name: "Permit2", chainId: this.#options.limits.chainId, verifyingContract: PERMIT2_ADDRESS };
  }

  async #speak(domain: TypedDataDomain, types: object, message: object): Promise<Hex> {
    const { wallet } = this.#options;
    return (await wallet.signTypedData(domain, structuredClone(types) as Types, message)) as Hex;
  }

  #requireScheme(scheme: PaymentLimits["schemes"][number]): void {
    require(this.#options.limits.schemes.includes(scheme), `The scheme "${scheme}" is not wanted`);
  }

  #requirePayer(payer: Hex): void {
    require(payer === lower(this.address), `${payer} is not this wallet`);
  }

  #requirePayee(payee: Hex): void {
    const { payTo } = this.#options.limits;
    require(payTo === undefined || lower(payTo) === payee, `${payee} may not be paid, only ${payTo}`);
  }

  #requireTime(until: bigint): void {
    // by this machine's clock, which the packages date by; it has gone on since they did
    const latest = BigInt(Math.ceil(Date.now() / 1000) + this.#options.limits.maxValiditySeconds);
    require(until <= latest, `It would be good until ${until}, later than ${latest}`);
  }
}

function read<T>(schema: z.ZodType<T>, message: unknown): T {
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  throw new PaymentDeclinedError(`What is to be signed is not what it is called: ${z.prettifyError(parsed.error)}`);
}

function require(ok: boolean, message: string): void {
  if (!ok) throw new PaymentDeclinedError(message);
}

const requireAtMost = (what: string, wei: bigint, maxWei: bigint): void =>
  require(wei <= maxWei, `${what} is for ${wei} wei, more than ${maxWei}`);

/** What x402's packages read the chain with. */
const readerOf =
  (provider: Provider): NonNullable<ClientEvmSigner["readContract"]> =>
  async ({ address, abi, functionName, args = [] }) => {
    const contract = new Interface(abi as string[]);
    const data = contract.encodeFunctionData(functionName, [...args]);
    const result = contract.decodeFunctionResult(functionName, await provider.call({ to: address, data }));
    return result.length === 1 ? (result[0] as unknown) : result.toArray();
  };
