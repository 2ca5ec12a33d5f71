import { expect } from "chai";
import { getAddress, hexlify, randomBytes, toBigInt, Wallet } from "ethers";
import { costOf, FEE, FUNDS, PARROT, StockWorld } from "./StockWorld.ts";

/** One of the ways to pay that a 402 names. */
interface Offer {
  scheme: string;
  network: string;
  asset: string;
  amount: string;
  payTo: string;
  maxTimeoutSeconds: number;
  extra: { name: string; version: string; assetTransferMethod?: string; facilitatorAddress?: string };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");
const decode = (text: string | null): unknown => JSON.parse(Buffer.from(text ?? "", "base64").toString());

/** Headers made by hand, as docs/clients.md tells: no x402 package on the client's side. */
describe("plain fetch, headers made by hand", function () {
  this.timeout(30_000);
  let world: StockWorld;
  let wallet: Wallet;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    wallet = new Wallet(hexlify(randomBytes(32)));
    await (await world.chain.opg.transfer(wallet.address, FUNDS)).wait();
  });

  const post = (body: object, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${world.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });

  const ask = (content: string, more: object = {}) => ({
    model: PARROT,
    messages: [{ role: "user", content }],
    ...more,
  });

  /** Signs the ERC-3009 authorization that an offer asks for. */
  async function pay(offer: Offer): Promise<string> {
    const authorization = {
      from: wallet.address,
      to: offer.payTo,
      value: offer.amount,
      validAfter: "0",
      validBefore: String(Math.floor(Date.now() / 1000) + offer.maxTimeoutSeconds),
      nonce: hexlify(randomBytes(32)),
    };
    const signature = await wallet.signTypedData(
      {
        name: offer.extra.name,
        version: offer.extra.version,
        chainId: Number(offer.network.slice("eip155:".length)),
        verifyingContract: offer.asset,
      },
      {
        TransferWithAuthorization: [
          { name: "from", type: "address" },
          { name: "to", type: "address" },
          { name: "value", type: "uint256" },
          { name: "validAfter", type: "uint256" },
          { name: "validBefore", type: "uint256" },
          { name: "nonce", type: "bytes32" },
        ],
      },
      authorization,
    );
    return encode({ x402Version: 2, accepted: offer, payload: { signature, authorization } });
  }

  async function offers(body: object): Promise<Offer[]> {
    const unpaid = await post(body);
    expect(unpaid.status).to.equal(402);
    const { accepts } = decode(unpaid.headers.get("payment-required")) as { accepts: Offer[] };
    const text = (await unpaid.json()) as { help: string; accepts: Offer[]; error: { code: string } };
    expect(text.accepts).to.deep.equal(accepts);
    expect(text.error.code).to.equal("payment_required");
    expect(text.help).to.contain("PAYMENT-SIGNATURE");
    return accepts;
  }

  const byErc3009 = (accepts: Offer[]): Offer => {
    const offer = accepts.find(({ scheme, extra }) => scheme === "exact" && extra.assetTransferMethod !== "permit2");
    if (offer === undefined) throw new Error("No offer of exact by ERC-3009");
    return offer;
  };

  it("chat_paidByHand_isAnsweredAndPaid", async () => {
    const body = ask("by hand");
    const paid = await post(body, { "payment-signature": await pay(byErc3009(await offers(body))) });
    expect(paid.status).to.equal(200);
    const answer = (await paid.json()) as { choices: { message: { content: string } }[] };
    expect(answer.choices[0]?.message.content).to.equal("by hand");
    expect(decode(paid.headers.get("payment-response"))).to.include({ success: true, network: world.network });
    await world.spent(wallet, FEE);
  });

  it("chat_samePaymentAgain_getsTheSameAnswerForNothing", async () => {
    const body = ask("only once");
    const header = { "payment-signature": await pay(byErc3009(await offers(body))) };
    const first = await (await post(body, header)).text();
    expect(await (await post(body, header)).text()).to.equal(first);
    await world.spent(wallet, FEE);
    const other = await post(ask("something else"), header);
    expect(other.status).to.equal(402);
    expect(((await other.json()) as { error: { code: string } }).error.code).to.equal("payment_already_used");
  });

  it("chat_streamed_isAnsweredAndPaid", async () => {
    const body = ask("by hand and streamed", { stream: true });
    const paid = await post(body, { "payment-signature": await pay(byErc3009(await offers(body))) });
    expect(paid.headers.get("content-type")).to.contain("text/event-stream");
    const text = await paid.text();
    expect([...text.matchAll(/"content":"([^"]*)"/g)].map(([, word]) => word).join("")).to.equal(
      "by hand and streamed",
    );
    expect(text.trimEnd().endsWith("data: [DONE]")).to.equal(true);
    await world.spent(wallet, FEE);
  });

  /** Signs the Permit2 permit that an `upto` offer asks for, and, since Permit2 has no allowance, the EIP-2612 permit that gives it one. */
  async function payUpTo({ extra, ...offer }: Offer): Promise<string> {
    const chainId = Number(offer.network.slice("eip155:".length));
    const deadline = String(Math.floor(Date.now() / 1000) + offer.maxTimeoutSeconds);
    const permit2Authorization = {
      from: wallet.address,
      permitted: { token: getAddress(offer.asset), amount: offer.amount },
      spender: "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002",
      nonce: toBigInt(randomBytes(32)).toString(),
      deadline,
      witness: { to: getAddress(offer.payTo), facilitator: getAddress(extra.facilitatorAddress!), validAfter: "0" },
    };
    const PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
    const signature = await wallet.signTypedData(
      { name: "Permit2", chainId, verifyingContract: PERMIT2 },
      {
        PermitWitnessTransferFrom: [
          { name: "permitted", type: "TokenPermissions" },
          { name: "spender", type: "address" },
          { name: "nonce", type: "uint256" },
          { name: "deadline", type: "uint256" },
          { name: "witness", type: "Witness" },
        ],
        TokenPermissions: [
          { name: "token", type: "address" },
          { name: "amount", type: "uint256" },
        ],
        Witness: [
          { name: "to", type: "address" },
          { name: "facilitator", type: "address" },
          { name: "validAfter", type: "uint256" },
        ],
      },
      permit2Authorization,
    );
    const allowance = { owner: wallet.address, spender: PERMIT2, value: offer.amount, nonce: "0", deadline };
    const info = {
      from: wallet.address,
      asset: offer.asset,
      spender: PERMIT2,
      amount: offer.amount,
      nonce: "0",
      deadline,
      version: "1",
      signature: await wallet.signTypedData(
        { name: extra.name, version: extra.version, chainId, verifyingContract: offer.asset },
        {
          Permit: [
            { name: "owner", type: "address" },
            { name: "spender", type: "address" },
            { name: "value", type: "uint256" },
            { name: "nonce", type: "uint256" },
            { name: "deadline", type: "uint256" },
          ],
        },
        allowance,
      ),
    };
    return encode({
      x402Version: 2,
      accepted: { ...offer, extra },
      payload: { signature, permit2Authorization },
      extensions: { eip2612GasSponsoring: { info } },
    });
  }

  it("upto_oneSignature_paysForSeveralRequests_inOneTransfer", async () => {
    const [first, second] = [ask("one signature"), ask("two answers for it")];
    const offer = (await offers(first)).find(({ scheme }) => scheme === "upto");
    const header = { "payment-signature": await payUpTo(offer!) };
    let cost = 0n;
    for (const body of [first, second]) {
      const paid = await post(body, header);
      expect(paid.status, await paid.clone().text()).to.equal(200);
      cost += costOf((await paid.json()) as Parameters<typeof costOf>[0]);
    }
    await world.spent(wallet, cost);
  });
});
