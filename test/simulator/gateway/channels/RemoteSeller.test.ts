import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { expect } from "chai";

import { encodePaymentHeader, PAYMENT_HEADER } from "../../../../simulator/nodes/paymentHeader.ts";
import { requestHash } from "../../../../simulator/receipts/requestHash.ts";
import { channelScope } from "../../../../simulator/receipts/requestId.ts";
import { errorCode, eventually } from "../gatewayFixture.ts";
import { ASSET, CAP, CHAT, chatBody, FEE, LaneFixture, outcomeOf, signedReceiptOf } from "./laneFixture.ts";

/** Sits between the gateway and its node, and passes on what it likes. */
class Meddler {
  /** Changes an answer's text; undefined cuts the connection. */
  tamper: (text: string) => string | undefined = (text) => text;
  /** Called when a request has come. */
  hold: () => Promise<void> = () => Promise.resolve();
  target = "";
  readonly #server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => void this.#pass(request.method!, request.url!, request.headers, parts, response));
  });

  async listen(target: string): Promise<string> {
    this.target = target;
    if (!this.#server.listening) {
      this.#server.listen(0, "127.0.0.1");
      await once(this.#server, "listening");
    }
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close().closeAllConnections();
  }

  async #pass(
    method: string,
    path: string,
    headers: NodeJS.Dict<string | string[]>,
    parts: readonly Buffer[],
    response: ServerResponse,
  ): Promise<void> {
    const { authorization, "content-type": type, [PAYMENT_HEADER]: payment } = headers as NodeJS.Dict<string>;
    if (method === "POST") await this.hold();
    const answer = await fetch(this.target + path, {
      method,
      headers: {
        authorization: authorization!,
        ...(type !== undefined && { "content-type": type }),
        ...(payment !== undefined && { [PAYMENT_HEADER]: payment }),
      },
      ...(method === "POST" && { body: Buffer.concat(parts) }),
    }).catch(() => undefined);
    const text = await answer?.text();
    const passed = method === "POST" && text !== undefined ? this.tamper(text) : text;
    if (answer === undefined || passed === undefined) response.destroy();
    else response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(passed);
  }
}

describe("RemoteSeller", () => {
  const fixture = new LaneFixture();
  const meddler = new Meddler();
  fixture.remote = true;
  fixture.between = (url) => meddler.listen(url);

  before(() => fixture.start());
  after(async () => {
    await fixture.stop();
    meddler.close();
  });
  beforeEach(() => {
    fixture.answer("Hello");
    meddler.tamper = (text) => text;
    meddler.hold = () => Promise.resolve();
  });

  const lies: Record<string, (text: string) => string> = {
    anotherFee: (text) => text.replace(/"fee":"\d+"/, '"fee":"1"'),
    anotherRequest: (text) => text.replace(/"requestId":"0x../, '"requestId":"0xee'),
    anotherSigner: (text) => text.replace(/"signer":"0x../, '"signer":"0xee'),
    moreTokens: (text) => text.replace('"completion_tokens":7', '"completion_tokens":9'),
    noReceipt: (text) => text.replace('"opengradient"', '"somethingElse"'),
    receiptInTheMiddle: (text) => text.replace(/\}$/, ',"last":1}'),
    noJson: () => "no JSON",
  };
  for (const [lie, tamper] of Object.entries(lies)) {
    it(`nodesAnswerWith_${lie}_isNotPassedOnAndNotCharged`, async () => {
      const payer = fixture.payer();
      meddler.tamper = tamper;
      const response = await fixture.post(payer.pay());
      expect(response.status).to.equal(502);
      expect(await errorCode(response)).to.be.oneOf(["bad_receipt", "bad_answer"]);
      expect(payer.chargedWei).to.equal(0n);
      meddler.tamper = (text) => text;
      expect(outcomeOf(await fixture.post(payer.pay())), "the voucher is still good").to.equal(`charged ${FEE}`);
    });
  }

  it("answerThatWasLostOnTheWay_isFetchedFromTheNode_andChargedOnce", async () => {
    const payer = fixture.payer();
    const before = fixture.upstream.requests;
    meddler.tamper = () => undefined;
    expect((await fixture.post(payer.pay())).status).to.equal(503);
    expect(payer.chargedWei).to.equal(0n);
    meddler.tamper = (text) => text;
    await eventually(async () => (await fixture.post(payer.pay())).status === 200, "the node is seen again");
    expect(payer.chargedWei).to.equal(FEE);
    expect(fixture.upstream.requests, "the model ran once").to.equal(before + 1);
  });

  it("answerOfAnEarlierRunOfTheGateway_thatWasNotWrittenDown_isTheSame_andCharged", async () => {
    const [payer, body] = [fixture.payer(), chatBody("before the crash")];
    // what a gateway has asked that died before it could write the answer's charge down
    const scope = channelScope(CAP, requestHash("chat", Buffer.from(body)));
    const payment = { asset: ASSET, payer: payer.config.payer, nonce: payer.channelId, scope };
    const tariff = { baseWei: 0n, inputWei: 2n, outputWei: 3n };
    const asked = await fetch(fixture.node.url + CHAT, {
      method: "POST",
      headers: {
        authorization: "Bearer unused",
        "content-type": "application/json",
        [PAYMENT_HEADER]: encodePaymentHeader({ ...payment, feeWei: CAP, tariff }),
      },
      body,
    });
    const lost = await asked.text();
    const before = fixture.upstream.requests;
    const response = await fixture.post(payer.pay(), body);
    expect(await response.clone().text()).to.equal(lost);
    expect(outcomeOf(response)).to.equal(`charged ${FEE}`);
    expect(payer.chargedWei).to.equal(FEE);
    expect(fixture.upstream.requests).to.equal(before);
  });

  it("streamThatIsCut_endsWithAnError_andIsNotCharged", async () => {
    const [payer, body] = [fixture.payer(), chatBody("cut", { stream: true })];
    fixture.stream(5);
    meddler.tamper = (text) => text.slice(0, text.indexOf("t3"));
    const text = await (await fixture.post(payer.pay(), body)).text();
    expect(text).to.contain("t1").and.contain('"code":"bad_answer"').and.not.contain("[DONE]");
    expect(payer.chargedWei).to.equal(0n);
    meddler.tamper = (whole) => whole;
    const again = await fixture.post(payer.pay(), body);
    expect(await again.text())
      .to.contain("t4")
      .and.contain("[DONE]");
    expect(payer.chargedWei).to.equal(FEE - 2n * 3n);
  });

  it("nodeThatIsAway_sellsNothing_untilItIsBack", async () => {
    const payer = fixture.payer();
    const { target } = meddler;
    meddler.target = "http://127.0.0.1:1";
    await eventually(async () => (await fixture.post(payer.pay())).status === 503, "the node is seen to be away");
    expect(payer.chargedWei ?? 0n).to.equal(0n);
    meddler.target = target;
    await eventually(async () => (await fixture.post(payer.pay())).status === 200, "the node is back");
    expect(payer.chargedWei).to.equal(FEE);
  });

  it("settlementType_reachesTheNode", async () => {
    const payer = fixture.payer();
    const response = await fixture.post(payer.pay(), chatBody("alone"), { "x-settlement-type": "individual" });
    const { receipt } = await signedReceiptOf(response);
    expect(fixture.node.store.individual(10).map((each) => each.receipt.requestId)).to.include(receipt.requestId);
  });

  it("stop_endsWhatIsUnderWay_uncharged", async () => {
    const payer = fixture.payer();
    const arrived = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    meddler.hold = () => {
      arrived.resolve();
      return go.promise;
    };
    const answered = fixture.post(payer.pay());
    await arrived.promise;
    await fixture.seller!.stop();
    const response = await answered;
    expect(response.status).to.equal(503);
    expect(await errorCode(response)).to.equal("stopping");
    expect(payer.chargedWei).to.equal(0n);
    go.resolve();
  });
});
