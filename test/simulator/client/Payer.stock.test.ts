import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { declareEip2612GasSponsoringExtension, declareErc20ApprovalGasSponsoringExtension } from "@x402/extensions";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader, encodePaymentRequiredHeader } from "@x402/core/http";
import type { PaymentRequired } from "@x402/core/types";
import { expect } from "chai";
import { type JsonRpcProvider, MaxUint256, Wallet } from "ethers";
import { x402Addresses } from "../../../simulator/chain/x402/x402Addresses.ts";
import { ChannelStore } from "../../../simulator/client/ChannelStore.ts";
import { PaymentDeclinedError } from "../../../simulator/client/ClientError.ts";
import type { OutgoingRequest } from "../../../simulator/client/OutgoingRequest.ts";
import { Payer, type Paid } from "../../../simulator/client/Payer.ts";
import { payerOptions, type PaymentOptions } from "../../../simulator/client/paymentOptions.ts";
import { Turnstile } from "../../../simulator/client/Turnstile.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { LocalBatchSettlement__factory } from "../../../typechain-types/index.ts";
import { rejection } from "../../support/rejection.ts";
import { OPG_WEI, startX402Stage, type Route, type X402Stage } from "../../contracts/local/x402Stage.ts";

const PERMIT2 = { assetTransferMethod: "permit2" };

/** Our payer against x402's own seller and facilitator: whatever it signs, they are the judges of. */
describe("Payer with x402's own sellers", function () {
  this.timeout(60_000);
  let stage: X402Stage;
  let provider: JsonRpcProvider;
  const directory = mkdtempSync(join(tmpdir(), "payer-"));
  let files = 0;
  const newFile = (): string => join(directory, `${files++}.db`);

  before(async () => {
    stage = await startX402Stage();
    provider = stage.payer.provider as JsonRpcProvider;
  });
  after(async () => {
    await stage.close();
    rmSync(directory, { recursive: true });
  });

  const payer = async (changes: Partial<PaymentOptions> = {}, reads = true): Promise<Payer> => {
    const chainId = BigInt(stage.network.slice("eip155:".length));
    const asset = (await stage.opg.getAddress()) as Hex;
    const wallet = stage.payer.privateKey as Hex;
    const options = { wallet, asset, maxPaymentWei: 10n * OPG_WEI, ...(reads && { provider }), ...changes };
    return new Payer(payerOptions(options, chainId));
  };

  const request = (): OutgoingRequest => ({
    kind: "chat",
    url: "http://shop.test/paid",
    method: "POST",
    headers: new Headers(),
    body: Buffer.from('{"model":"m"}'),
    signal: new AbortController().signal,
    fingerprint: "f",
    isRetry: false,
  });

  /** The stage's shops serve GET. */
  const shop = (route: Route, change: (response: Response) => Response = (response) => response): typeof fetch => {
    const send = stage.shopFor(route);
    return async (input, init) => {
      const { url, headers } = new Request(input, init);
      return change(await send(new Request(url, { headers })));
    };
  };

  async function buy(from: Payer, route: Route, send = shop(route)): Promise<Paid> {
    const paid = await from.send(send, request(), () => undefined);
    const why = paid.response.headers.get("payment-required");
    expect(paid.response.status, why === null ? "" : Buffer.from(why, "base64").toString()).to.equal(200);
    return paid;
  }

  /** Buys, and takes what the seller charged for what a receipt would prove. */
  async function buyAndAccept(from: Payer, route: Route, send = shop(route)): Promise<Paid> {
    const paid = await buy(from, route, send);
    const { extra, amount } = decodePaymentResponseHeader(paid.response.headers.get("payment-response")!);
    await from.accept(paid.payment!, BigInt((extra?.chargedAmount as string | undefined) ?? amount ?? route.amount));
    return paid;
  }

  const spentIn = async (work: () => Promise<unknown>): Promise<bigint> => {
    const before = await stage.opg.balanceOf(stage.payer);
    await work();
    return before - (await stage.opg.balanceOf(stage.payer));
  };

  describe("single payments", () => {
    before(async () => {
      await (await stage.opg.connect(stage.payer).approve(x402Addresses.permit2, MaxUint256)).wait();
    });

    it("exact_byErc3009AndPermit2_arePaid", async () => {
      const from = await payer();
      for (const extra of [{}, PERMIT2]) {
        const route: Route = { scheme: "exact", amount: OPG_WEI, extra };
        expect(await spentIn(() => buyAndAccept(from, route))).to.equal(OPG_WEI);
      }
    });

    it("upto_isChargedWhatWasUsed", async () => {
      const route: Route = { scheme: "upto", amount: OPG_WEI, charge: 7n, extra: PERMIT2 };
      const from = await payer();
      expect(await spentIn(() => buyAndAccept(from, route))).to.equal(7n);
    });

    it("upto_sellerWithoutSessions_isSignedANewAuthorizationForTheNextRequest", async () => {
      const route: Route = { scheme: "upto", amount: OPG_WEI, charge: 7n, extra: PERMIT2 };
      const from = await payer();
      const headers = new Set<string>();
      const work = async (): Promise<void> => {
        for (let i = 0; i < 3; i++) headers.add((await buyAndAccept(from, route)).payment!.header);
      };
      expect(await spentIn(work)).to.equal(21n);
      expect(headers.size).to.equal(3);
    });

    it("terms_beyondTheLimits_areDeclinedUnsigned", async () => {
      const cases: [Route, Partial<PaymentOptions>][] = [
        [{ scheme: "exact", amount: 11n * OPG_WEI }, {}],
        [{ scheme: "upto", amount: 11n * OPG_WEI, extra: PERMIT2 }, {}],
        [{ scheme: "upto", amount: OPG_WEI, extra: PERMIT2 }, { schemes: ["exact"] }],
        [{ scheme: "upto", amount: OPG_WEI, extra: PERMIT2 }, { facilitators: [`0x${"66".repeat(20)}`] }],
        [{ scheme: "batch-settlement", amount: OPG_WEI }, {}],
        [
          { scheme: "batch-settlement", amount: OPG_WEI },
          { schemes: ["batch-settlement"], maxDepositWei: 1n },
        ],
        [
          { scheme: "batch-settlement", amount: OPG_WEI },
          { schemes: ["batch-settlement"], maxWithdrawDelaySeconds: 60 },
        ],
        [{ scheme: "batch-settlement", amount: OPG_WEI, extra: PERMIT2 }, { schemes: ["batch-settlement"] }],
        [{ scheme: "exact", amount: OPG_WEI }, { payTo: `0x${"66".repeat(20)}` }],
        [{ scheme: "exact", amount: OPG_WEI }, { maxOutstandingWei: OPG_WEI - 1n }],
      ];
      for (const [route, changes] of cases) {
        const from = await payer(changes);
        const spent = await spentIn(async () => {
          const error = await rejection(from.send(shop(route), request(), () => undefined));
          expect(
            error,
            JSON.stringify(changes, (_k, v: unknown) => String(v)),
          ).to.be.instanceOf(PaymentDeclinedError);
        });
        expect(spent).to.equal(0n);
      }
    });

    it("seller_thatTakesPaymentsForNothing_getsAsMuchAsIsAllowed", async () => {
      const route: Route = { scheme: "exact", amount: OPG_WEI };
      const refusing = shop(route, (response) => (response.ok ? new Response(null, { status: 500 }) : response));
      const from = await payer({ maxOutstandingWei: 3n * OPG_WEI });
      const spent = await spentIn(async () => {
        for (let i = 0; i < 3; i++) {
          expect((await from.send(refusing, request(), () => undefined)).response.status).to.equal(500);
        }
        expect(await rejection(from.send(refusing, request(), () => undefined))).to.be.instanceOf(PaymentDeclinedError);
      });
      expect(spent).to.equal(3n * OPG_WEI);
    });
  });

  describe("payers without ether and without an allowance", () => {
    let poor: unknown;

    before(async () => {
      await (await stage.opg.connect(stage.payer).approve(x402Addresses.permit2, 0n)).wait();
      await stage.rpc("hardhat_setBalance", stage.payer.address, "0x0");
      poor = await stage.rpc("evm_snapshot");
    });
    afterEach(async () => {
      await stage.rpc("evm_revert", poor);
      poor = await stage.rpc("evm_snapshot");
    });
    after(() => stage.rpc("hardhat_setBalance", stage.payer.address, `0x${(10n ** 20n).toString(16)}`));

    const routes: Route[] = [
      { scheme: "exact", amount: OPG_WEI, extra: PERMIT2 },
      { scheme: "upto", amount: OPG_WEI, charge: OPG_WEI, extra: PERMIT2 },
    ];
    for (const route of routes) {
      it(`${route.scheme}_sponsoredByPermit_isPaid_andNoMoreIsAllowed`, async () => {
        const sponsored = { ...route, extensions: { ...declareEip2612GasSponsoringExtension() } };
        const from = await payer();
        expect(await spentIn(() => buyAndAccept(from, sponsored))).to.equal(OPG_WEI);
        expect(await stage.opg.allowance(stage.payer, x402Addresses.permit2)).to.equal(0n);
      });

      it(`${route.scheme}_sponsoredByApproval_isPaid_whereTheUserLetsIt`, async () => {
        const sponsored = { ...route, extensions: { ...declareErc20ApprovalGasSponsoringExtension() } };
        const willing = await payer({ gasSponsoring: "approval" });
        expect(await spentIn(() => buyAndAccept(willing, sponsored))).to.equal(OPG_WEI);
      });

      it(`${route.scheme}_notSponsoredOrNotWanted_isRefusedBySellers`, async () => {
        const approval = { ...route, extensions: { ...declareErc20ApprovalGasSponsoringExtension() } };
        const permit = { ...route, extensions: { ...declareEip2612GasSponsoringExtension() } };
        const cases: [Route, Partial<PaymentOptions>][] = [
          [route, {}],
          [approval, {}],
          [permit, { gasSponsoring: "none" }],
        ];
        for (const [offered, changes] of cases) {
          const from = await payer(changes);
          const { response } = await from.send(shop(offered), request(), () => undefined);
          expect(response.status).to.equal(412);
        }
      });
    }
  });

  describe("channels", () => {
    const route: Route = { scheme: "batch-settlement", amount: OPG_WEI, charge: 7n };
    const wanted: Partial<PaymentOptions> = { schemes: ["batch-settlement"], maxDepositWei: 5n * OPG_WEI };

    /** A payer whose channel nobody has used before. */
    const newcomer = async (changes: Partial<PaymentOptions> = {}): Promise<Payer> => {
      const wallet = Wallet.createRandom();
      await (await stage.opg.transfer(wallet.address, 10n * OPG_WEI)).wait();
      const channelStore = new ChannelStore(newFile());
      return payer({ ...wanted, wallet: wallet.privateKey as Hex, channelStore, ...changes });
    };

    const onChain = async (id: Hex): Promise<{ balance: bigint; totalClaimed: bigint }> => {
      const contract = LocalBatchSettlement__factory.connect(x402Addresses.batchSettlement, stage.payer);
      const { balance, totalClaimed } = await contract.channels(id);
      return { balance, totalClaimed };
    };

    it("channel_oneDeposit_manyRequests_restartInBetween_refund", async () => {
      const file = newFile();
      const store = new ChannelStore(file);
      const from = await payer({ ...wanted, channelStore: store });
      expect(await spentIn(() => buyAndAccept(from, route))).to.equal(5n * OPG_WEI);
      const block = await stage.rpc("eth_blockNumber");
      for (let i = 0; i < 3; i++) await buyAndAccept(from, route);
      const [channel] = await from.channels();
      expect(channel).to.include({ chargedWei: 28n, balanceWei: 5n * OPG_WEI, unprovenWei: 0n });
      expect(channel).to.include({ signedWei: 21n + OPG_WEI });
      store.close();

      const reopened = new ChannelStore(file);
      // without a provider: what is on disk has to do
      const again = await payer({ ...wanted, channelStore: reopened }, false);
      await buyAndAccept(again, route);
      expect((await again.channels())[0]).to.include({ chargedWei: 35n });
      expect(await stage.rpc("eth_blockNumber")).to.equal(block);

      const refunded = await spentIn(async () => {
        const settled = await again.refund(shop(route), "http://shop.test/paid");
        expect(settled).to.have.length(1);
        expect(settled[0]).to.include({ success: true });
      });
      expect(-refunded).to.equal(5n * OPG_WEI - 35n);
      expect(await onChain(channel!.id)).to.deep.equal({ balance: 35n, totalClaimed: 35n });
      expect(await again.refund(shop(route), "http://shop.test/paid")).to.deep.equal([]);
      // the channel lives on
      await buyAndAccept(again, route);
      expect((await again.channels())[0]).to.include({ chargedWei: 42n, balanceWei: 5n * OPG_WEI + 35n });
      reopened.close();
    });

    it("channel_storeLost_isFoundAgainOnChainAndByItsOwnSignature", async () => {
      const forgetful = await payer({ ...wanted, channelStore: new ChannelStore(newFile()) });
      const spent = await spentIn(() => buyAndAccept(forgetful, route));
      expect(spent).to.equal(0n);
      const [channel] = await forgetful.channels();
      expect(channel).to.include({ chargedWei: 49n, balanceWei: 5n * OPG_WEI + 35n, complete: false });
    });

    it("channel_runsLow_isFilledUpToTheLimit", async () => {
      const from = await newcomer();
      const dear: Route = { scheme: "batch-settlement", amount: 4n * OPG_WEI, charge: 4n * OPG_WEI };
      await buyAndAccept(from, dear);
      // 1 OPG is left
      await buyAndAccept(from, dear);
      const [channel] = await from.channels();
      expect(channel).to.include({ chargedWei: 8n * OPG_WEI, balanceWei: 9n * OPG_WEI });
      expect((await onChain(channel!.id)).balance).to.equal(9n * OPG_WEI);
    });

    it("answersLost_areCountedWhenTheSellerTellsAndNoFurther", async () => {
      const from = await newcomer();
      await buyAndAccept(from, route);
      const [before] = await from.channels();
      const lost = await buy(from, route);
      from.release(lost.payment!);
      const { payment } = await buyAndAccept(from, route);
      const [after] = await from.channels();
      expect(after!.chargedWei - before!.chargedWei).to.equal(14n);
      expect(after!.unprovenWei).to.equal(7n);
      expect(payment!.voucher!.baseWei).to.equal(before!.chargedWei + 7n);
    });

    const telling =
      (change: (charged: bigint) => bigint) =>
      (response: Response): Response => {
        const header = response.headers.get("payment-required");
        if (header === null) return response;
        const required: PaymentRequired = decodePaymentRequiredHeader(header);
        for (const { extra } of required.accepts) {
          const state = extra.channelState as { chargedCumulativeAmount: string } | undefined;
          if (state !== undefined) {
            state.chargedCumulativeAmount = change(BigInt(state.chargedCumulativeAmount)).toString();
          }
        }
        return new Response("{}", {
          status: 402,
          headers: { "payment-required": encodePaymentRequiredHeader(required) },
        });
      };

    it("seller_claimsMoreThanWasSigned_orLessThanWasProven_isNotBelieved", async () => {
      for (const lie of [(charged: bigint) => charged + 2n * OPG_WEI, () => 1n]) {
        const from = await newcomer();
        await buyAndAccept(from, route);
        from.release((await buy(from, route)).payment!);
        const lying = shop(route, telling(lie));
        expect(await rejection(from.send(lying, request(), () => undefined))).to.include({
          code: "channel_state_mismatch",
        });
        await buyAndAccept(from, route);
      }
    });

    it("requests_atOnce_takeTurnsOrSeveralChannels", async () => {
      const one = await newcomer();
      await Promise.all(Array.from({ length: 4 }, () => buyAndAccept(one, route)));
      expect(await one.channels()).to.have.length(1);
      const several = await newcomer({ channelsPerGateway: 3, maxDepositWei: 2n * OPG_WEI });
      // x402's facilitator sends one transaction at a time
      const turnstile = new Turnstile();
      const inTurn: typeof fetch = async (input, init) => {
        const leave = await turnstile.pass(new AbortController().signal);
        return shop(route)(input, init).finally(leave);
      };
      await Promise.all(Array.from({ length: 6 }, () => buyAndAccept(several, route, inTurn)));
      expect(await several.channels()).to.have.length(3);
    });
  });
});
