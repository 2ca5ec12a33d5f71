import { expect } from "chai";
import type { Gateway } from "../../../../simulator/gateway/Gateway.ts";
import { rawConnection, rawHttp, rawPost, type RawAnswer } from "../../http/rawHttp.ts";
import { CHAT, chat, errorCode, eventually, GatewayFixture, post } from "../gatewayFixture.ts";

const HEADERS_MS = 300;
const BODY = JSON.stringify(chat("let me in"));

describe("Gateway under attack, over sockets", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;

  before(async () => {
    fixture = await GatewayFixture.start();
    gateway = await fixture.openGateway({
      limits: { headersMs: HEADERS_MS, requestMs: 2 * HEADERS_MS, checkMs: 20, keepAliveMs: 200 },
    });
  });

  after(() => fixture.stop());

  /** Nothing but refusals, no inference, and the gateway still serves. */
  async function refused(attack: () => Promise<RawAnswer>, ...statuses: number[]): Promise<RawAnswer> {
    const { inferences } = fixture.node;
    const answer = await attack();
    expect(answer.statuses, answer.text.slice(0, 2_000)).to.not.be.empty;
    for (const status of answer.statuses) expect(statuses, answer.text.slice(0, 2_000)).to.include(status);
    expect(fixture.node.inferences).to.equal(inferences);
    expect((await fetch(`${gateway.url}/health`)).status).to.equal(200);
    return answer;
  }

  const attack = (target: string, body = BODY, headers: string[] = []): Promise<RawAnswer> =>
    rawHttp(gateway.url, rawPost(target, body, headers));

  describe("paths around the paywall", () => {
    const PATHS: Record<string, string> = {
      absoluteForm: `http://gateway.test${CHAT}`,
      absoluteFormElsewhere: `http://127.0.0.1:1${CHAT}`,
      absoluteFormTls: `https://gateway.test${CHAT}`,
      encodedSlash: "/v1%2Fchat%2Fcompletions",
      encodedLetters: "/%76%31/%63hat/completions",
      doublyEncoded: "/v1%252Fchat%252Fcompletions",
      doubleSlash: "//v1//chat//completions",
      authorityLike: `//gateway.test${CHAT}`,
      trailingSlash: `${CHAT}/`,
      trailingDot: `${CHAT}.`,
      trailingDots: `${CHAT}/..`,
      dotSegments: "/health/../v1/chat/completions",
      encodedDotSegments: "/health/%2e%2e/v1/chat/completions",
      backslash: "\\v1\\chat\\completions",
      parameters: `${CHAT};paid=1`,
      parametersInside: "/v1;a=b/chat/completions",
      upperCase: CHAT.toUpperCase(),
      query: `${CHAT}?payment-signature=e30%3D`,
      fragment: `${CHAT}#/health`,
      malformedEscape: "/v1/chat/%completions",
      truncatedEscape: "/v1/chat/completions%",
      overlongUtf8: "/v1%c0%afchat%c0%afcompletions",
      nul: `${CHAT}%00`,
      encodedLineEnd: `${CHAT}%0d%0aPAYMENT-SIGNATURE:%20e30=`,
      fullWidth: "/v1/chat/completions%EF%BC%8F",
      lineSeparator: `${CHAT}%E2%80%A8`,
      star: "*",
    };
    for (const [name, path] of Object.entries(PATHS)) {
      it(`${name}_isNotServedUnpaid`, () => refused(() => attack(path), 400, 402, 404));
    }

    it("rawLineEnd_isNoRequest", () => refused(() => attack(`${CHAT}\r\nx-paid: yes\r\nx:`), 400, 402));

    it("bareLineFeed_buysNothing", () => refused(() => attack(`${CHAT}\nPAYMENT-SIGNATURE: e30=`), 400, 402));

    it("tabInThePath_isNoRequest", () => refused(() => attack(`/v1/chat\t/completions`), 400, 404));

    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "QUERY"]) {
      it(`${method}_isNotServed`, () =>
        refused(() => rawHttp(gateway.url, rawPost(CHAT, BODY).replace("POST", method)), 400, 404, 405, 501));
    }

    it("CONNECT_isClosed", async () => {
      const { statuses } = await rawHttp(gateway.url, rawPost(CHAT, BODY).replace("POST", "CONNECT"));
      expect(statuses).to.deep.equal([]);
    });

    it("methodOverride_isIgnored", async () => {
      for (const header of ["x-http-method-override", "x-http-method", "x-method-override"]) {
        await refused(() => attack(CHAT, BODY, [`${header}: GET`]), 402);
        await refused(() => attack("/health", BODY, [`${header}: GET`]), 404);
      }
    });

    it("rewrittenUrl_isIgnored", () =>
      refused(() => attack(CHAT, BODY, ["x-original-url: /health", "x-rewrite-url: /health"]), 402));
  });

  describe("requests inside requests", () => {
    const inner = rawPost(CHAT, BODY);

    it("lengthAndChunks_areRefused", () =>
      refused(() => attack(CHAT, `0\r\n\r\n${inner}`, ["transfer-encoding: chunked"]), 400));

    it("chunksUnderAnotherSpelling_areRefused", async () => {
      for (const encoding of ["xchunked", "chunked, identity", " chunked", "\tchunked", "identity, chunked"]) {
        await refused(() => attack(CHAT, `0\r\n\r\n${inner}`, [`transfer-encoding:${encoding}`]), 400);
      }
    });

    it("twoLengths_areRefused", () => refused(() => attack(CHAT, BODY, ["content-length: 5"]), 400));

    it("signedLength_isRefused", () =>
      refused(() => rawHttp(gateway.url, rawPost(CHAT, BODY).replace(/content-length: /, "content-length: +")), 400));

    it("malformedChunks_areRefused", () =>
      refused(() => {
        const head = rawPost(CHAT, "").replace("content-length: 0", "transfer-encoding: chunked");
        return rawHttp(gateway.url, `${head}zz\r\n${inner}\r\n0\r\n\r\n`);
      }, 400));

    it("spaceBeforeColon_isRefused", () => refused(() => attack(CHAT, BODY, ["payment-signature : e30="]), 400));

    it("foldedHeader_isRefused", () =>
      refused(() => attack(CHAT, BODY, ["x-a: b", " payment-signature: e30="]), 400, 402));

    it("pipelined_areAnsweredInOrderEachForItself", async () => {
      const payment = await fixture.pay(gateway, chat("pipelined"));
      const { inferences } = fixture.node;
      const keepOpen = (request: string): string => request.replace("connection: close\r\n", "");
      const paid = keepOpen(rawPost(CHAT, JSON.stringify(chat("pipelined")), [`payment-signature: ${payment}`]));
      const { statuses } = await rawHttp(gateway.url, keepOpen(rawPost(CHAT, BODY)) + paid + rawPost(CHAT, BODY));
      expect(statuses).to.deep.equal([402, 200, 402]);
      expect(fixture.node.inferences - inferences).to.equal(1);
    });

    it("garbageAfterAPaidRequest_getsNoAnswerOfItsOwn", async () => {
      const payment = await fixture.pay(gateway, chat("then garbage"));
      const { inferences } = fixture.node;
      const paid = rawPost(CHAT, JSON.stringify(chat("then garbage")), [`payment-signature: ${payment}`]);
      await rawHttp(gateway.url, `${paid.replace("connection: close\r\n", "")}\0\0garbage\r\n\r\n`);
      // whatever was seen of it, what was paid for is there for who asks again
      const again = await post(gateway, chat("then garbage"), { payment });
      expect(again.status).to.equal(200);
      expect(fixture.node.inferences - inferences).to.equal(1);
    });

    it("upgrade_isNotFollowed", () =>
      refused(() => attack(CHAT, BODY, ["upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"]), 402));
  });

  describe("header bombs", () => {
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const pay = (value: string): Promise<RawAnswer> => attack(CHAT, BODY, [`payment-signature: ${value}`]);

    it("hugeHeader_isRefusedUnread", async () => {
      const { text } = await refused(() => attack(CHAT, BODY, [`x-big: ${"a".repeat(1 << 20)}`]), 431);
      expect(text).to.contain('"code":"headers_too_large"').and.contain("Connection: close");
    });

    it("paymentOf100MB_isRefusedAfterItsFirstKilobytes", async () => {
      const socket = rawConnection(gateway.url);
      const head = rawPost(CHAT, BODY).split("\r\n\r\n")[0]!;
      socket.write(`${head}\r\npayment-signature: `);
      const part = Buffer.alloc(64 * 1024, "A");
      let sent = 0;
      let closed = false;
      const answer: Buffer[] = [];
      socket.on("data", (bytes) => answer.push(bytes));
      socket.on("error", () => undefined);
      socket.on("close", () => (closed = true));
      while (!closed && sent < 100 * 1024 * 1024) {
        sent += part.length;
        if (!socket.write(part)) await eventually(() => closed || !socket.writableNeedDrain, "read or closed");
      }
      await eventually(() => closed, "closed");
      // what the kernel's buffers take is sent without being read
      expect(sent).to.be.lessThan(20 * 1024 * 1024);
      expect(Buffer.concat(answer).toString()).to.match(/^(HTTP\/1\.1 431 [\s\S]*)?$/);
    });

    it("manyHeaders_areRefused", async () => {
      const lines = Array.from({ length: 200 }, (_, i) => `x-${i}: 1`);
      const { text } = await refused(() => attack(CHAT, BODY, lines), 431);
      expect(text).to.contain('"code":"headers_too_large"');
    });

    it("paymentBehindMoreHeadersThanAreRead_isRefusedNotIgnored", () =>
      refused(() => attack(CHAT, BODY, [...Array<string>(3_000).fill("a: b"), "payment-signature: e30="]), 431));

    it("paymentAboveItsLimit_isRefusedWithTheReason", async () => {
      const { text } = await refused(() => pay("A".repeat(8 * 1024 + 4)), 431);
      expect(text).to.contain('"code":"payment_too_large"');
    });

    it("twoPayments_areRefusedWhicheverIsGood", async () => {
      const payment = await fixture.pay(gateway, chat("let me in"));
      for (const pair of [
        [payment, payment],
        ["e30=", payment],
        [payment, "e30="],
      ]) {
        const lines = pair.map((value) => `payment-signature: ${value}`);
        const { text } = await refused(() => attack(CHAT, BODY, lines), 400);
        expect(text).to.contain('"code":"duplicate_payment"');
      }
    });

    const DEEP = 1_000;
    const PAYMENTS: Record<string, string> = {
      empty: "",
      notBase64: "!!!!",
      urlBase64: "e30_-w==",
      notJson: base64("{{"),
      deepArrays: base64("[".repeat(6_000)),
      deepObjects: base64(`${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`),
      deepExtensions: base64(`{"x402Version":2,"extensions":${"[".repeat(1_000)}${"]".repeat(1_000)}}`),
      number: base64("1e999"),
      null: base64("null"),
      array: base64("[]"),
      invalidUtf8: Buffer.from([0x22, 0xff, 0xfe, 0x22]).toString("base64"),
      otherVersion: base64('{"x402Version":1,"payload":{}}'),
    };
    for (const [name, value] of Object.entries(PAYMENTS)) {
      it(`payment_${name}_isRefusedAsInvalid`, async () => {
        const { text } = await refused(() => pay(value), 402);
        expect(text).to.contain('"code":"invalid_payload"').and.contain('"accepts":');
      });
    }

    for (const key of ["__proto__", "\\u005f_proto__", "__\\u0070roto__"]) {
      it(`paymentWithKey_${key.replace(/\\u/g, "u")}_pollutesNothing`, async () => {
        const good = Buffer.from(await fixture.pay(gateway, chat("let me in")), "base64").toString();
        const { text } = await refused(() => pay(base64(good.replace("{", `{"${key}":{"isPaid":true},`))), 402);
        expect(text).to.contain('"code":"invalid_payload"');
        expect(({} as { isPaid?: boolean }).isPaid).to.equal(undefined);
      });
    }

    it("paymentWithConstructorKeys_pollutesNothing", async () => {
      const polluting = '{"constructor":{"prototype":{"isPaid":true}},"x402Version":2}';
      await refused(() => pay(base64(polluting)), 402);
      expect(({} as { isPaid?: boolean }).isPaid).to.equal(undefined);
    });
  });

  describe("bodies", () => {
    it("tooLarge_isRefusedByItsLength", () =>
      refused(
        () => rawHttp(gateway.url, rawPost(CHAT, BODY).replace(/content-length: \d+/, "content-length: 99999999999")),
        413,
      ));

    it("tooLargeInChunks_isRefused", async () => {
      const head = rawPost(CHAT, "").replace("content-length: 0", "transfer-encoding: chunked");
      const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
      await refused(() => rawHttp(gateway.url, `${head}${chunk.repeat(80)}0\r\n\r\n`), 413);
    });

    const nested = `{"model":"test/echo","messages":[{"role":"user","content":"x"}],"x":${"[".repeat(1e6)}${"]".repeat(1e6)}}`;
    it("deeplyNested_isRefusedOrPriced", () => refused(() => attack(CHAT, nested), 400, 402));

    it("deeplyNestedAndPaid_isAnsweredOrRefused", async () => {
      const payment = await fixture.pay(gateway, chat("let me in"));
      await refused(() => attack(CHAT, nested, [`payment-signature: ${payment}`]), 400, 402);
    });

    it("prototypeKeys_reachNoPrototype", async () => {
      const body = `{"__proto__":{"isPaid":true},"constructor":{"prototype":{"isPaid":true}},${BODY.slice(1)}`;
      await refused(() => attack(CHAT, body), 402);
      expect(({} as { isPaid?: boolean }).isPaid).to.equal(undefined);
    });

    it("otherMediaType_isRefused", () =>
      refused(() => rawHttp(gateway.url, rawPost(CHAT, BODY).replace("application/json", "text/plain")), 415));
  });

  describe("slowness", () => {
    it("headersInDrips_areCutOff", async () => {
      const socket = rawConnection(gateway.url);
      socket.write(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\n`);
      const drip = setInterval(() => socket.write("x-a: b\r\n"), 30);
      const parts: Buffer[] = [];
      socket.on("data", (part) => parts.push(part));
      socket.on("error", () => undefined);
      try {
        await eventually(() => socket.closed, "closed");
      } finally {
        clearInterval(drip);
        socket.destroy();
      }
      expect(Buffer.concat(parts).toString())
        .to.match(/^HTTP\/1\.1 408 /)
        .and.contain('"code":"request_timeout"');
    });

    it("bodyInDrips_isCutOff", async () => {
      const answer = await refused(
        () => rawHttp(gateway.url, rawPost(CHAT, BODY).replace(/content-length: \d+/, "content-length: 1000")),
        408,
      );
      expect(answer.text).to.contain('"code":"request_timeout"');
    });

    it("silence_isCutOff", async () => {
      const { statuses } = await rawHttp(gateway.url, "");
      expect([[], [408]]).to.deep.include(statuses);
    });

    it("idleConnectionAfterAnAnswer_isClosed", async () => {
      const { statuses } = await rawHttp(gateway.url, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
      expect(statuses).to.deep.equal([200]);
    });

    it("connectionsAboveTheLimit_areClosedAndTheRestServed", async () => {
      const small = await fixture.openGateway({ limits: { connections: 3, headersMs: 60_000 } });
      const sockets = Array.from({ length: 8 }, () => rawConnection(small.url));
      for (const socket of sockets) socket.on("error", () => undefined);
      await eventually(() => sockets.filter((socket) => socket.closed).length === 5, "five are turned away");
      const [served] = sockets.filter((socket) => !socket.closed);
      const answered = new Promise<string>((resolve) => served!.once("data", (part) => resolve(part.toString())));
      served!.write("GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
      expect(await answered).to.match(/^HTTP\/1\.1 200 /);
      for (const socket of sockets) socket.destroy();
    });
  });

  describe("floods", () => {
    it("unpaidRequestsOfOneAddress_areLimited", async () => {
      const limited = await fixture.openGateway({ limits: { refusalsPerMinute: 3 } });
      for (let i = 0; i < 3; i++) expect((await post(limited, chat("x"))).status).to.equal(402);
      const over = await post(limited, chat("x"));
      expect(over.status).to.equal(429);
      expect(Number(over.headers.get("retry-after"))).to.be.within(1, 60);
      expect(await over.json()).to.have.nested.property("error.type", "rate_limit_error");
      // what costs nothing to answer is not limited
      expect((await fetch(`${limited.url}/v1/models`)).status).to.equal(200);
    });

    it("forgedForwardedFor_isNotBelieved", async () => {
      const limited = await fixture.openGateway({ limits: { refusalsPerMinute: 1 } });
      const ask = (address: string): Promise<RawAnswer> =>
        rawHttp(limited.url, rawPost(CHAT, BODY, [`x-forwarded-for: ${address}`]));
      expect((await ask("192.0.2.1")).status).to.equal(402);
      expect((await ask("192.0.2.2")).status).to.equal(429);
    });

    it("forwardedForOfATrustedProxy_isWhoIsLimited", async () => {
      const limited = await fixture.openGateway({ limits: { refusalsPerMinute: 1, trustProxy: "127.0.0.1" } });
      const ask = (address: string): Promise<RawAnswer> =>
        rawHttp(limited.url, rawPost(CHAT, BODY, [`x-forwarded-for: ${address}`]));
      expect((await ask("192.0.2.1")).status).to.equal(402);
      expect((await ask("192.0.2.2")).status).to.equal(402);
      expect((await ask("192.0.2.1")).status).to.equal(429);
      // one customer's IPv6 addresses count as one
      expect((await ask("2001:db8::1")).status).to.equal(402);
      expect((await ask("2001:db8::2")).status).to.equal(429);
    });

    it("refusedPayments_stopBeingCheckedWhenThereWereTooMany", async () => {
      const limited = await fixture.openGateway({ limits: { refusalsPerMinute: 2 } });
      for (let i = 0; i < 2; i++) {
        expect((await post(limited, chat("x"), { payment: "e30=" })).status).to.equal(402);
      }
      expect(await errorCode(await post(limited, chat("x"), { payment: "e30=" }))).to.equal("rate_limit_exceeded");
    });

    it("onePayersPurchases_areLimitedAndNobodyElses", async () => {
      const limited = await fixture.openGateway({ limits: { paidPerMinute: 2 } });
      const other = fixture.chain.account(2);
      await fixture.chain.opg.transfer(other.address, 10n ** 18n);
      const buy = async (payer = fixture.payer): Promise<number> => {
        const payment = await fixture.pay(limited, chat("x"), { payer });
        return (await post(limited, chat("x"), { payment })).status;
      };
      expect([await buy(), await buy()]).to.deep.equal([200, 200]);
      const { inferences } = fixture.node;
      expect(await buy()).to.equal(429);
      expect(fixture.node.inferences).to.equal(inferences);
      expect(await buy(other)).to.equal(200);
    });

    it("forgedPaymentsInSomebodysName_doNotLimitThem", async () => {
      const limited = await fixture.openGateway({ limits: { paidPerMinute: 2 } });
      for (let i = 0; i < 4; i++) {
        const forged = await fixture.pay(limited, chat("x"), {
          change: (payload) => ({ ...payload, payload: { ...payload.payload, signature: `0x${"11".repeat(64)}1b` } }),
        });
        expect((await post(limited, chat("x"), { payment: forged })).status).to.equal(402);
      }
      const payment = await fixture.pay(limited, chat("x"));
      expect((await post(limited, chat("x"), { payment })).status).to.equal(200);
    });
  });
});
