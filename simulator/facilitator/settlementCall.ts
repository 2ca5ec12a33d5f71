import {
  BATCH_SETTLEMENT_ADDRESS,
  ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
  x402ExactPermit2ProxyABI,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyABI,
  x402UptoPermit2ProxyAddress,
} from "@x402/evm";
import { AbiCoder, Interface, Signature, toBigInt } from "ethers";
import { OPG__factory } from "../../typechain-types/index.ts";
import type { Hex } from "../receipts/types.ts";
import type { ChannelDeposit, ChannelPayment, VoucherClaim } from "./channelPayment.ts";
import { approvalOf, permitOf } from "./gasSponsoring.ts";
import { PERMIT2_DEPOSIT_COLLECTOR } from "./permit2.ts";
import type { AnyPayment } from "./parsePayment.ts";
import type { Charge } from "./payment.ts";

/** A call that settles a payment when it succeeds. */
export interface SettlementCall {
  to: Hex;
  data: Hex;
  /** A transaction of the payer's that has to be mined before: an approval that it has signed and the facilitator pays for. */
  approval?: Hex;
}

/** Any token with ERC-3009 and EIP-2612 has these. */
export const tokenInterface: Interface = new Interface(OPG__factory.abi);
export const exactProxy = new Interface(x402ExactPermit2ProxyABI);
export const uptoProxy = new Interface(x402UptoPermit2ProxyABI);

const CONFIG =
  "(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)";
const CLAIMS = `((${CONFIG} channel,uint128 maxClaimableAmount) voucher,bytes signature,uint128 totalClaimed)[]`;

/** What is used of the contract that holds the channels. */
export const channelInterface = new Interface([
  "function multicall(bytes[] data) returns (bytes[])",
  `function deposit(${CONFIG} config,uint128 amount,address collector,bytes collectorData)`,
  `function claimWithSignature(${CLAIMS} voucherClaims,bytes authorizerSignature)`,
  "function settle(address receiver,address token)",
  `function refundWithSignature(${CONFIG} config,uint128 amount,uint256 nonce,bytes receiverAuthorizerSignature)`,
  "function channels(bytes32 channelId) view returns (uint128 balance,uint128 totalClaimed)",
  "function pendingWithdrawals(bytes32 channelId) view returns (uint128 amount,uint40 initiatedAt)",
  "function receivers(address receiver,address token) view returns (uint128 totalClaimed,uint128 totalSettled)",
  "function refundNonce(bytes32 channelId) view returns (uint256)",
  "event Settled(address indexed receiver,address indexed token,address indexed sender,uint128 amount)",
]);

const TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";

interface SignedTransfer {
  signature: Hex;
  authorization: Record<"from" | "to" | "value" | "validAfter" | "validBefore" | "nonce", string>;
}

interface SignedPermit {
  signature: Hex;
  permit2Authorization: {
    from: string;
    permitted: { token: string; amount: string };
    nonce: string;
    deadline: string;
    witness: { to: string; facilitator?: string; validAfter: string };
  };
}

/** The call that settles a payment, as `@x402/evm` would send it. Payments are parsed, so their parts are what they look like. */
export function settlementCall(payment: AnyPayment): SettlementCall {
  switch (payment.kind) {
    case "exact/eip3009":
      return transferCall(payment);
    case "exact/permit2":
    case "upto/permit2":
      return permitCall(payment);
    default:
      return { to: BATCH_SETTLEMENT_ADDRESS, data: channelCall(payment), ...approvalOf(payment.payload) };
  }
}

function transferCall({ asset, payload }: Charge): SettlementCall {
  const { signature, authorization } = payload.payload as unknown as SignedTransfer;
  const { from, to, value, validAfter, validBefore, nonce } = authorization;
  const { v, r, s } = Signature.from(signature);
  const data = tokenInterface.encodeFunctionData(TRANSFER, [from, to, value, validAfter, validBefore, nonce, v, r, s]);
  return { to: asset, data: data as Hex };
}

function permitCall({ kind, payload, amountWei }: Charge): SettlementCall {
  const { signature, permit2Authorization: signed } = payload.payload as unknown as SignedPermit;
  const { permitted, nonce, deadline, from, witness } = signed;
  const upTo = kind === "upto/permit2";
  const [contract, to] = upTo
    ? [uptoProxy, x402UptoPermit2ProxyAddress]
    : ([exactProxy, x402ExactPermit2ProxyAddress] as const);
  const permit = { permitted, nonce, deadline };
  const settled = upTo ? [permit, amountWei, from, witness, signature] : [permit, from, witness, signature];
  const sponsored = permitOf(payload);
  const data =
    sponsored === undefined
      ? contract.encodeFunctionData("settle", settled)
      : contract.encodeFunctionData("settleWithPermit", [sponsored, ...settled]);
  return { to, data: data as Hex, ...(sponsored === undefined && approvalOf(payload)) };
}

function channelCall({ action, payload }: ChannelPayment): Hex {
  switch (action.type) {
    case "deposit": {
      const { channelConfig, deposit } = action;
      const [collector, data] = collectorData(action, permitOf(payload));
      return encode("deposit", [channelConfig, deposit.amount, collector, data]);
    }
    case "claim": {
      const claim = claimCall(action.claims, action.claimAuthorizerSignature);
      if (action.settle === undefined) return claim;
      return encode("multicall", [[claim, encode("settle", [action.settle.receiver, action.settle.token])]]);
    }
    case "settle":
      return encode("settle", [action.receiver, action.token]);
    case "refund": {
      const { channelConfig, amount, refundNonce, refundAuthorizerSignature, claims, claimAuthorizerSignature } =
        action;
      const refund = encode("refundWithSignature", [channelConfig, amount, refundNonce, refundAuthorizerSignature]);
      if (claims.length === 0) return refund;
      return encode("multicall", [[claimCall(claims, claimAuthorizerSignature), refund]]);
    }
  }
}

const encode = (name: string, values: readonly unknown[]): Hex =>
  channelInterface.encodeFunctionData(name, values) as Hex;

const claimCall = (claims: readonly VoucherClaim[], signature: Hex | undefined): Hex =>
  encode("claimWithSignature", [claims, signature]);

/** How the contract gets the money: which helper fetches it, and what that needs. */
function collectorData(
  { deposit: { authorization } }: ChannelDeposit,
  permit: ReturnType<typeof permitOf>,
): [collector: string, data: string] {
  const coder = AbiCoder.defaultAbiCoder();
  if ("erc3009Authorization" in authorization) {
    const { validAfter, validBefore, salt, signature } = authorization.erc3009Authorization;
    const types = ["uint256", "uint256", "uint256", "bytes"];
    return [
      ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
      coder.encode(types, [validAfter, validBefore, toBigInt(salt), signature]),
    ];
  }
  const { nonce, deadline, signature } = authorization.permit2Authorization;
  const sponsored =
    permit === undefined
      ? "0x"
      : coder.encode(
          ["uint256", "uint256", "uint8", "bytes32", "bytes32"],
          [permit.value, permit.deadline, permit.v, permit.r, permit.s],
        );
  return [
    PERMIT2_DEPOSIT_COLLECTOR,
    coder.encode(["uint256", "uint256", "bytes", "bytes"], [nonce, deadline, signature, sponsored]),
  ];
}
