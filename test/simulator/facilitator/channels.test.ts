import { x402Client } from "@x402/core/client";
import { x402ResourceServer } from "@x402/core/server";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS } from "@x402/evm";
import { BatchSettlementEvmScheme as BatchClient } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as BatchServer } from "@x402/evm/batch-settlement/server";
import { wrapFetchWithPayment } from "@x402/fetch";
import { paymentMiddleware } from "@x402/hono";
import { expect } from "chai";
import { parseEther, Signature, type TypedDataField } from "ethers";
import { Hono } from "hono";
import { privateKeyToAccount } from "viem/accounts";
import {
  channelDomain,
  channelIdOf,
  depositAuthorization,
  parseChannelPayment,
  type ChannelConfig,
  type ChannelDeposit,
  type VoucherClaim,
} from "../../../simulator/facilitator/channelPayment.ts";
import type { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { channelInterface, settlementCall } from "../../../simulator/facilitator/settlementCall.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { FacilitatorWorld, finished } from "./facilitatorWorld.ts";
import { stockCalldata } from "./stockCalldata.ts";

const PRICE = 1_000n;
const PAYER = 1;
const RECEIVER = 5;
const AUTHORIZER = 6;

const VOUCHER_TYPES: Record<string, TypedDataField[]> = {
  Voucher: [
    { name: "channelId", type: "bytes32" },
    { name: "maxClaimableAmount", type: "uint128" },
  ],
};

describe("payments by channel", () => {
  let world: FacilitatorWorld;
  let facilitator: Facilitator;
  let salts = 0n;

  before(async () => {
    world = await FacilitatorWorld.start([PAYER]);
    facilitator = await world.open({ receiverAuthorizer: world.chain.account(AUTHORIZER) });
  });

  after(() => world.stop());

  const requirements = (amount = PRICE): PaymentRequirements => ({
    scheme: "batch-settlement",
    network: facilitator.network,
    asset: world.chain.asset,
    amount: amount.toString(),
    payTo: world.address(RECEIVER),
    maxTimeoutSeconds: 300,
    extra: {
      name: "OpenGradient",
      version: "1",
      receiverAuthorizer: world.address(AUTHORIZER),
      withdrawDelay: 900,
    },
  });

  const config = (payer = PAYER): ChannelConfig => ({
    payer: world.address(payer),
    payerAuthorizer: world.address(payer),
    receiver: world.address(RECEIVER),
    receiverAuthorizer: world.address(AUTHORIZER),
    token: world.chain.asset,
    withdrawDelay: 900,
    salt: `0x${(++salts).toString(16).padStart(64, "0")}`,
  });

  const idOf = (channel: ChannelConfig): Hex => channelIdOf(facilitator.network, channel);

  async function voucherSignature(channel: ChannelConfig, maxClaimableAmount: bigint): Promise<Hex> {
    const message = { channelId: idOf(channel), maxClaimableAmount };
    return (await world.chain
      .account(PAYER)
      .signTypedData(channelDomain(facilitator.network), VOUCHER_TYPES, message)) as Hex;
  }

  const claimOf = async (channel: ChannelConfig, amount: bigint, max = amount): Promise<VoucherClaim> => ({
    voucher: { channel, maxClaimableAmount: max.toString() },
    signature: await voucherSignature(channel, max),
    totalClaimed: amount.toString(),
  });

  /** A deposit by ERC-3009, as the stock client makes it. */
  async function depositOf(channel: ChannelConfig, amount: bigint): Promise<PaymentPayload> {
    const now = Math.floor(Date.now() / 1000);
    const channelId = idOf(channel);
    const action: ChannelDeposit = {
      type: "deposit",
      channelConfig: channel,
      voucher: { channelId, maxClaimableAmount: PRICE.toString(), signature: await voucherSignature(channel, PRICE) },
      deposit: {
        amount: amount.toString(),
        authorization: {
          erc3009Authorization: {
            validAfter: String(now - 600),
            validBefore: String(now + 600),
            salt: `0x${(++salts).toString(16).padStart(64, "0")}`,
            signature: "0x",
          },
        },
      },
    };
    const { nonce } = depositAuthorization(facilitator.network, action);
    const fields = [
      "address from",
      "address to",
      "uint256 value",
      "uint256 validAfter",
      "uint256 validBefore",
      "bytes32 nonce",
    ];
    const ReceiveWithAuthorization = fields.map((field) => {
      const [type, name] = field.split(" ") as [string, string];
      return { type, name };
    });
    const erc3009 = (
      action.deposit.authorization as {
        erc3009Authorization: { validAfter: string; validBefore: string; signature: Hex };
      }
    ).erc3009Authorization;
    erc3009.signature = (await world.chain.account(PAYER).signTypedData(
      { name: "OpenGradient", version: "1", chainId: world.chain.chainId, verifyingContract: world.chain.asset },
      { ReceiveWithAuthorization },
      {
        from: channel.payer,
        to: "0x4020806089470a89826cB9fB1f4059150b550004",
        value: amount,
        validAfter: erc3009.validAfter,
        validBefore: erc3009.validBefore,
        nonce,
      },
    )) as Hex;
    return { x402Version: 2, resource: { url: "http://127.0.0.1/test" }, accepted: requirements(), payload: action };
  }

  const envelope = (payload: Record<string, unknown>): PaymentPayload => ({
    x402Version: 2,
    resource: { url: "http://127.0.0.1/test" },
    accepted: requirements(),
    payload,
  });

  async function openChannel(amount = 10n * PRICE): Promise<ChannelConfig> {
    const channel = config();
    expect(await facilitator.settle(await depositOf(channel, amount), requirements())).to.include({ success: true });
    return channel;
  }

  it("stockClientAndServer_depositVouchersClaimRefund_moveTheMoney", async () => {
    const { chain } = world;
    const receiver = world.address(RECEIVER);
    const scheme = new BatchServer(receiver, {
      receiverAuthorizerSigner: privateKeyToAccount(chain.account(AUTHORIZER).privateKey as Hex),
    });
    const network = facilitator.network as `eip155:${number}`;
    const server = new x402ResourceServer(facilitator).register(network, scheme);
    const price = { amount: PRICE.toString(), asset: chain.asset, extra: { name: "OpenGradient", version: "1" } };
    const accepts = { scheme: "batch-settlement", network, payTo: receiver, price, maxTimeoutSeconds: 300 };
    const shop = new Hono();
    shop.use(paymentMiddleware({ "/paid": { accepts } }, server));
    shop.get("/paid", (context) => context.text("paid for"));
    const account = privateKeyToAccount(chain.account(PAYER).privateKey as Hex);
    const client = new BatchClient(account, { depositPolicy: { depositMultiplier: 10 }, rpcUrl: chain.url });
    const paying = new x402Client().register(network, client).setSpendControls({
      allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: parseEther("1").toString() }],
    });
    const buy = wrapFetchWithPayment((input, init) => Promise.resolve(shop.request(input as Request, init)), paying);
    const transactions = (): Promise<number> => chain.provider.getTransactionCount(world.address(9));
    const [before, payerBefore, sent] = [
      await world.balanceOf(receiver),
      await world.balanceOf(world.address(PAYER)),
      await transactions(),
    ];
    for (let count = 0; count < 3; count++) expect((await buy("http://shop.test/paid")).status).to.equal(200);
    expect((await transactions()) - sent, "one deposit, no transaction per request").to.equal(1);

    const manager = scheme.createChannelManager(facilitator, network, chain.asset);
    const { claims, settle } = await manager.claimAndSettle();
    expect(claims).to.have.lengthOf(1);
    expect(settle?.transaction).to.match(/^0x[0-9a-f]{64}$/);
    expect((await world.balanceOf(receiver)) - before).to.equal(3n * PRICE);
    expect(await manager.refund()).to.have.lengthOf(1);
    expect(payerBefore - (await world.balanceOf(world.address(PAYER)))).to.equal(3n * PRICE);
  });

  it("settle_sameDepositManyTimes_depositsOnce", async () => {
    const channel = config();
    const payload = await depositOf(channel, 10n * PRICE);
    expect(await facilitator.verify(payload, requirements())).to.include({ isValid: true });
    const results = await Promise.all([1, 2, 3].map(() => facilitator.settle(payload, requirements())));
    for (const result of results) {
      expect(result).to.include({ success: true, amount: (10n * PRICE).toString() });
      expect(result.extra).to.deep.equal({
        channelState: {
          channelId: idOf(channel),
          balance: (10n * PRICE).toString(),
          totalClaimed: "0",
          withdrawRequestedAt: 0,
          refundNonce: "0",
        },
      });
    }
    const [state] = await facilitator.channelStates([idOf(channel)]);
    expect(state!.balanceWei).to.equal(10n * PRICE);
  });

  it("settle_depositOfAPayerWithoutMoney_isRefusedAndNeverMade", async () => {
    const channel = config();
    const payload = await depositOf(channel, parseEther("100000000"));
    const reason = "invalid_batch_settlement_evm_insufficient_balance";
    expect(await facilitator.verify(payload, requirements())).to.include({ isValid: false, invalidReason: reason });
    expect(await facilitator.settle(payload, requirements())).to.include({ success: false, errorReason: reason });
    expect((await facilitator.store.counts()).pending).to.equal(0);
  });

  it("enqueue_depositWhoseAuthorizationIsCanceled_dies", async () => {
    const channel = config();
    const payload = await depositOf(channel, PRICE * 2n);
    const { nonce } = depositAuthorization(facilitator.network, payload.payload as ChannelDeposit);
    const signature = await world.chain.account(PAYER).signTypedData(
      { name: "OpenGradient", version: "1", chainId: world.chain.chainId, verifyingContract: world.chain.asset },
      {
        CancelAuthorization: [
          { name: "authorizer", type: "address" },
          { name: "nonce", type: "bytes32" },
        ],
      },
      { authorizer: channel.payer, nonce },
    );
    const { v, r, s } = Signature.from(signature);
    await (await world.chain.opg.cancelAuthorization(channel.payer, nonce, v, r, s)).wait();
    const job = await facilitator.enqueue(payload, requirements());
    expect(await finished(facilitator, job)).to.include({ status: "dead", reason: "authorization_canceled" });
    expect(await facilitator.defaultedWei(channel.payer), "nobody was served for it").to.equal(0n);
  });

  it("verify_voucher_readsTheChannel", async () => {
    const channel = await openChannel();
    const payload = envelope({
      type: "voucher",
      channelConfig: channel,
      voucher: { channelId: idOf(channel), maxClaimableAmount: "5", signature: await voucherSignature(channel, 5n) },
    });
    const verdict = await facilitator.verify(payload, requirements());
    expect(verdict).to.deep.include({ isValid: true });
    expect(verdict.extra).to.include({ channelId: idOf(channel), balance: (10n * PRICE).toString() });
    const tampered = structuredClone(payload);
    (tampered.payload as { voucher: { maxClaimableAmount: string } }).voucher.maxClaimableAmount = "6";
    expect(await facilitator.verify(tampered, requirements())).to.include({
      isValid: false,
      invalidReason: "invalid_batch_settlement_evm_voucher_signature",
    });
    expect(await facilitator.verify(envelope({ type: "voucher" }), requirements())).to.include({
      invalidReason: "invalid_payload",
    });
  });

  it("claimChannels_manyChannels_areClaimedAndPaidOutByOneTransaction", async () => {
    const channels = await Promise.all([1, 2, 3, 4].map(() => openChannel()));
    const claims = await Promise.all(
      channels.map((channel, index) => claimOf(channel, PRICE + BigInt(index), 2n * PRICE)),
    );
    const [receiver, token] = [world.address(RECEIVER), world.chain.asset];
    const before = await world.balanceOf(receiver);
    const sent = await world.chain.provider.getTransactionCount(world.address(9));
    const jobs = await Promise.all([1, 2].map(() => facilitator.claimChannels({ claims, receiver, token })));
    expect(jobs[0]!.key).to.equal(jobs[1]!.key);
    expect(await finished(facilitator, jobs[0]!)).to.include({ status: "settled" });
    expect((await world.balanceOf(receiver)) - before).to.equal(4n * PRICE + 6n);
    expect((await world.chain.provider.getTransactionCount(world.address(9))) - sent).to.equal(1);
    const states = await facilitator.channelStates(channels.map(idOf));
    expect(states.map(({ claimedWei }) => claimedWei)).to.deep.equal([0n, 1n, 2n, 3n].map((more) => PRICE + more));
  });

  it("claimChannels_claimedBySomebodyElse_isFoundDone", async () => {
    const channel = await openChannel();
    const claims = [await claimOf(channel, PRICE)];
    const [receiver, token] = [world.address(RECEIVER), world.chain.asset];
    const data = channelInterface.encodeFunctionData("settle", [receiver, token]);
    const stranger = world.chain.account(8);
    const other = await world.open({ account: 7, receiverAuthorizer: world.chain.account(AUTHORIZER) });
    await finished(other, await other.claimChannels({ claims, receiver, token }));
    await (await stranger.sendTransaction({ to: BATCH_SETTLEMENT_ADDRESS, data })).wait();
    const before = await world.balanceOf(receiver);
    expect((await finished(facilitator, await facilitator.claimChannels({ claims, receiver, token }))).status).to.equal(
      "settled",
    );
    expect(await world.balanceOf(receiver)).to.equal(before);
  });

  it("claimChannels_moreThanTheChannelHolds_isADeadLetterThatCanBeReopened", async () => {
    const channel = await openChannel();
    const own = await world.open({ account: 4, receiverAuthorizer: world.chain.account(AUTHORIZER) });
    const claims = [await claimOf(channel, 11n * PRICE)];
    const job = await own.claimChannels({ claims, receiver: world.address(RECEIVER), token: world.chain.asset });
    expect(await finished(own, job)).to.deep.include({ status: "dead", reason: "reverted: ClaimExceedsBalance" });
    expect(await own.deadLetters()).to.have.lengthOf(1);
    await facilitator.settle(await depositOf(channel, PRICE), requirements());
    await own.reopen(job.key);
    expect((await finished(own, job)).status).to.equal("settled");
  });

  it("claimChannels_ofAnotherReceiverOrAuthorizer_isRefused", async () => {
    const channel = await openChannel();
    const [receiver, token] = [world.address(RECEIVER), world.chain.asset];
    const codeOf = (work: Promise<unknown>): Promise<unknown> =>
      work.then(
        () => "done",
        (error: unknown) => (error as { code: string }).code,
      );
    const claims = [await claimOf(channel, PRICE)];
    expect(await codeOf(facilitator.claimChannels({ claims, receiver: world.address(7), token }))).to.equal(
      "invalid_payload",
    );
    const stranger = await world.open({ account: 3, receiverAuthorizer: world.chain.account(7) });
    expect(await codeOf(stranger.claimChannels({ claims, receiver, token }))).to.equal(
      "invalid_batch_settlement_evm_authorizer_address_mismatch",
    );
  });

  it("settle_refundTwice_givesBackOnce", async () => {
    const channel = await openChannel();
    const payer = world.address(PAYER);
    const payload = envelope({
      type: "refund",
      channelConfig: channel,
      voucher: {
        channelId: idOf(channel),
        maxClaimableAmount: PRICE.toString(),
        signature: await voucherSignature(channel, PRICE),
      },
      amount: (20n * PRICE).toString(),
      refundNonce: "0",
      claims: [await claimOf(channel, PRICE)],
    });
    const before = await world.balanceOf(payer);
    const first = await facilitator.settle(payload, requirements());
    expect(first).to.include({ success: true, amount: (9n * PRICE).toString() });
    expect(await facilitator.settle(payload, requirements())).to.deep.equal(first);
    expect((await world.balanceOf(payer)) - before).to.equal(9n * PRICE);
  });

  it("settle_nothingClaimed_isRefused", async () => {
    const payload = envelope({ type: "settle", receiver: world.address(2), token: world.chain.asset });
    expect(await facilitator.settle(payload, requirements())).to.include({
      success: false,
      errorReason: "invalid_batch_settlement_evm_nothing_to_settle",
    });
  });

  it("settlementCall_deposit_isWhatThePackagesSend", async () => {
    const channel = config();
    const payload = await depositOf(channel, PRICE * 3n);
    const payment = parseChannelPayment(payload, requirements());
    const expected = await stockCalldata(world.chain, world.chain.account(9).address, payload, requirements());
    expect(settlementCall(payment).data).to.equal(expected!.data);
  });

  it("channelStates_hundreds_areReadInPages", async () => {
    const ids = Array.from({ length: 250 }, (_, index): Hex => `0x${index.toString(16).padStart(64, "0")}`);
    const known = idOf(await openChannel());
    const states = await facilitator.channelStates([...ids, known]);
    expect(states).to.have.lengthOf(251);
    expect(states[250]).to.include({ channelId: known, balanceWei: 10n * PRICE });
    expect(states[0]).to.include({ channelId: ids[0], balanceWei: 0n, claimedWei: 0n });
  });
});
