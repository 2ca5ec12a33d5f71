import {
  ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
  BATCH_SETTLEMENT_ADDRESS,
  PERMIT2_ADDRESS,
  permit2WitnessTypes,
  uptoPermit2WitnessTypes,
  voucherTypes,
  x402ExactPermit2ProxyAddress,
  x402UptoPermit2ProxyAddress,
  authorizationTypes,
} from "@x402/evm";
import { expect } from "chai";
import { Interface, JsonRpcProvider, MaxUint256, Transaction, verifyTypedData, Wallet } from "ethers";
import { PaymentDeclinedError } from "../../../simulator/client/ClientError.ts";
import type { PaymentLimits } from "../../../simulator/client/PaymentLimits.ts";
import { WalletGuard, type WalletGuardOptions } from "../../../simulator/client/WalletGuard.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";

const address = (byte: string): Hex => `0x${byte.repeat(20)}`;
const ASSET = address("a5");
const PAYEE = address("0c");
const FACILITATOR = address("fa");
const CHANNEL: Hex = `0x${"c4".repeat(32)}`;
const CHAIN = 31337n;
/** When this file is loaded, which may be many minutes before its tests run. */
const in60s = (): number => Math.floor(Date.now() / 1000) + 60;

const LIMITS: PaymentLimits = {
  chainId: CHAIN,
  asset: ASSET,
  schemes: ["upto", "exact", "batch-settlement"],
  ranked: true,
  payTo: PAYEE,
  facilitators: [FACILITATOR],
  maxPaymentWei: 100n,
  maxSessionWei: 1_000n,
  maxOutstandingWei: 10_000n,
  maxDepositWei: 5_000n,
  maxValiditySeconds: 3_600,
  maxWithdrawDelaySeconds: 86_400,
  gasSponsoring: "approval",
};

describe("WalletGuard", () => {
  const wallet = Wallet.createRandom();
  // is asked nothing here
  const provider = new JsonRpcProvider("http://127.0.0.1:9", Number(CHAIN), { staticNetwork: true });
  after(() => provider.destroy());

  const guard = (limits: Partial<PaymentLimits> = {}, more: Partial<WalletGuardOptions> = {}): Promise<WalletGuard> =>
    WalletGuard.over({
      wallet,
      limits: { ...LIMITS, ...limits },
      provider,
      voucherCeilingWei: (id) => (id === CHANNEL ? 700n : undefined),
      ...more,
    });

  const token = { name: "OpenGradient", version: "1", chainId: Number(CHAIN), verifyingContract: ASSET };
  const permit2 = { name: "Permit2", chainId: Number(CHAIN), verifyingContract: PERMIT2_ADDRESS };
  const transfer = (changes: object = {}) => ({
    from: wallet.address,
    to: PAYEE,
    value: 100n,
    validAfter: 0n,
    validBefore: BigInt(in60s()),
    nonce: `0x${"01".repeat(32)}`,
    ...changes,
  });
  const permitted = (spender: string, amount: bigint, witness: object, changes: object = {}) => ({
    permitted: { token: ASSET, amount },
    spender,
    nonce: 7n,
    deadline: BigInt(in60s()),
    witness: { to: PAYEE, validAfter: 0n, ...witness },
    ...changes,
  });
  const exact = (changes: object = {}, witness: object = {}, amount = 100n) =>
    permitted(x402ExactPermit2ProxyAddress, amount, witness, changes);
  const upto = (changes: object = {}, witness: object = {}, amount = 1_000n) =>
    permitted(x402UptoPermit2ProxyAddress, amount, { facilitator: FACILITATOR, ...witness }, changes);
  const permit = (changes: object = {}) => ({
    owner: wallet.address,
    spender: PERMIT2_ADDRESS,
    value: 1_000n,
    nonce: 0n,
    deadline: BigInt(in60s()),
    ...changes,
  });
  const voucher = (changes: object = {}) => ({ channelId: CHANNEL, maxClaimableAmount: 700n, ...changes });
  const PERMIT_TYPES = {
    Permit: ["owner", "spender", "value", "nonce", "deadline"].map((name, i) => ({
      name,
      type: i < 2 ? "address" : "uint256",
    })),
  };
  const RECEIVE_TYPES = { ReceiveWithAuthorization: authorizationTypes.TransferWithAuthorization };
  const channels = {
    name: "x402 Batch Settlement",
    version: "1",
    chainId: Number(CHAIN),
    verifyingContract: BATCH_SETTLEMENT_ADDRESS,
  };
  type Message = {
    domain: Record<string, unknown>;
    types: Record<string, unknown>;
    primaryType: string;
    message: object;
  };
  const statement = (primaryType: string, message: object, types: object = {}, domain: object = {}): Message => ({
    domain: { ...domain },
    types: { ...types },
    primaryType,
    message,
  });
  const sign = async (message: Message, limits: Partial<PaymentLimits> = {}): Promise<Hex> =>
    (await guard(limits)).payments.signTypedData(message as never);

  const good: [string, object, object, object][] = [
    ["TransferWithAuthorization", transfer(), authorizationTypes, token],
    [
      "ReceiveWithAuthorization",
      transfer({ to: ERC3009_DEPOSIT_COLLECTOR_ADDRESS, value: 5_000n }),
      RECEIVE_TYPES,
      token,
    ],
    ["PermitWitnessTransferFrom", exact(), permit2WitnessTypes, permit2],
    ["PermitWitnessTransferFrom", upto(), uptoPermit2WitnessTypes, permit2],
    ["Permit", permit(), PERMIT_TYPES, token],
    ["Voucher", voucher(), voucherTypes, channels],
  ];
  for (const [primaryType, message, types, domain] of good) {
    const spender = "spender" in message ? `_${String(message.spender).slice(0, 8)}` : "";
    it(`sign_${primaryType}${spender}_signsExactlyThat`, async () => {
      const signature = await sign(statement(primaryType, message, types, domain));
      expect(verifyTypedData(domain, types as never, message, signature)).to.equal(wallet.address);
    });
  }

  const bad: [string, string, object][] = [
    ["anythingElse", "SetApprovalForAll", {}],
    ["transferOfMore", "TransferWithAuthorization", transfer({ value: 101n })],
    ["transferToAnother", "TransferWithAuthorization", transfer({ to: address("66") })],
    ["transferOfAnother", "TransferWithAuthorization", transfer({ from: address("66") })],
    ["transferForTooLong", "TransferWithAuthorization", transfer({ validBefore: BigInt(in60s() + 36_000) })],
    ["transferWithMoreFields", "TransferWithAuthorization", transfer({ spender: address("66") })],
    ["depositElsewhere", "ReceiveWithAuthorization", transfer({ to: PAYEE })],
    ["depositOfMore", "ReceiveWithAuthorization", transfer({ to: ERC3009_DEPOSIT_COLLECTOR_ADDRESS, value: 5_001n })],
    ["permit2OfAnotherToken", "PermitWitnessTransferFrom", exact({ permitted: { token: address("66"), amount: 1n } })],
    ["permit2ToAnotherSpender", "PermitWitnessTransferFrom", exact({ spender: address("66") })],
    ["permit2ToAnother", "PermitWitnessTransferFrom", exact({}, { to: address("66") })],
    ["permit2OfMore", "PermitWitnessTransferFrom", exact({}, {}, 101n)],
    ["permit2ForTooLong", "PermitWitnessTransferFrom", exact({ deadline: BigInt(in60s() + 36_000) })],
    ["uptoOfMore", "PermitWitnessTransferFrom", upto({}, {}, 1_001n)],
    ["uptoByAnotherFacilitator", "PermitWitnessTransferFrom", upto({}, { facilitator: address("66") })],
    ["uptoByNobody", "PermitWitnessTransferFrom", upto({}, { facilitator: undefined })],
    ["allowanceForAnother", "Permit", permit({ spender: address("66") })],
    ["allowanceOfMore", "Permit", permit({ value: MaxUint256 })],
    ["allowanceForTooLong", "Permit", permit({ deadline: MaxUint256 })],
    ["voucherOfMore", "Voucher", voucher({ maxClaimableAmount: 701n })],
    ["voucherOfAnotherChannel", "Voucher", voucher({ channelId: `0x${"66".repeat(32)}` })],
  ];
  for (const [name, primaryType, message] of bad) {
    it(`sign_${name}_isDeclined`, async () => {
      expect(await rejection(sign(statement(primaryType, message)))).to.be.instanceOf(PaymentDeclinedError);
    });
  }

  it("sign_underAnotherDomainOrTypes_isSignedAsTheTokensAllTheSame", async () => {
    const message = transfer();
    const elsewhere = { ...token, chainId: 1, verifyingContract: address("66") };
    const types = { TransferWithAuthorization: [{ name: "value", type: "uint256" }] };
    const signature = await sign(statement("TransferWithAuthorization", message, types, elsewhere));
    expect(verifyTypedData(token, authorizationTypes as never, message, signature)).to.equal(wallet.address);
  });

  it("sign_schemeThatIsNotWanted_isDeclined", async () => {
    const cases: [PaymentLimits["schemes"], string, object][] = [
      [["upto"], "TransferWithAuthorization", transfer()],
      [["upto"], "PermitWitnessTransferFrom", exact()],
      [["exact"], "PermitWitnessTransferFrom", upto()],
      [["exact", "upto"], "ReceiveWithAuthorization", transfer({ to: ERC3009_DEPOSIT_COLLECTOR_ADDRESS })],
      [["exact", "upto"], "Voucher", voucher()],
    ];
    for (const [schemes, primaryType, message] of cases) {
      expect(await rejection(sign(statement(primaryType, message), { schemes }))).to.be.instanceOf(
        PaymentDeclinedError,
      );
    }
  });

  describe("gas sponsoring", () => {
    const approve = new Interface(["function approve(address spender, uint256 value)"]);
    const approval = (changes: object = {}) => ({
      to: ASSET,
      data: approve.encodeFunctionData("approve", [PERMIT2_ADDRESS, MaxUint256]) as Hex,
      nonce: 0,
      gas: 70_000n,
      maxFeePerGas: 1_000_000_000n,
      maxPriorityFeePerGas: 1n,
      chainId: Number(CHAIN),
      ...changes,
    });

    it("approve_permit2ForOpg_isSigned", async () => {
      const { payments } = await guard();
      const parsed = Transaction.from(await payments.signTransaction!(approval()));
      expect(parsed.from).to.equal(wallet.address);
      expect(parsed.to?.toLowerCase()).to.equal(ASSET);
      expect(parsed.value).to.equal(0n);
    });

    it("approve_anythingElse_isDeclined", async () => {
      const { payments } = await guard();
      const changes = [
        { to: address("66") },
        { data: approve.encodeFunctionData("approve", [address("66"), MaxUint256]) },
        { data: "0xa9059cbb" },
        { chainId: 1 },
        { gas: 10_000_000n },
        { maxFeePerGas: 10n ** 15n },
      ];
      for (const change of changes) {
        const error = await rejection(payments.signTransaction!(approval(change)));
        expect(error, JSON.stringify(Object.keys(change))).to.be.instanceOf(PaymentDeclinedError);
      }
    });

    it("signer_canDoNoMoreThanTheLimitsSay", async () => {
      const permit = (await guard({ gasSponsoring: "permit" })).payments;
      expect(permit).to.include.keys("readContract").and.not.include.keys("signTransaction");
      const none = (await guard({ gasSponsoring: "none" })).payments;
      expect(none).to.have.all.keys("address", "signTypedData");
      expect(await rejection(sign(statement("Permit", {}), { gasSponsoring: "none" }))).to.be.instanceOf(
        PaymentDeclinedError,
      );
    });
  });
});
