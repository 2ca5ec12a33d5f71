import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { expect } from "chai";
import fc from "fast-check";
import { HttpPrice, type HttpPriceOptions } from "../../../simulator/pricing/HttpPrice.ts";
import { picoUsdOf, PriceError } from "../../../simulator/pricing/PriceSource.ts";

const signal = new AbortController().signal;

describe("HttpPrice", () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;

  before(async () => {
    server = createServer((request, response) => answer(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/price`;
  });

  after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });

  function read(json: unknown, options: Partial<HttpPriceOptions> = {}): Promise<unknown> {
    answer = (_request, response) => response.end(typeof json === "string" ? json : JSON.stringify(json));
    return new HttpPrice({ url, path: ["price"], ...options }).read(signal).catch((error: unknown) => error);
  }

  it("read_priceAndTimeAtTheirPaths_areTaken", async () => {
    const json = { data: [{ quote: { usd: "0.0512" }, at: 1_800_000_000 }] };
    const at = { path: ["data", 0, "quote", "usd"], timePath: ["data", 0, "at"] };
    const quote = { picoUsd: 51_200_000_000n, observedAtMs: 1_800_000_000_000 };
    expect(await read(json, at)).to.deep.equal(quote);
    json.data[0]!.at *= 1000;
    expect(await read(json, at)).to.deep.equal(quote);
    expect(await read({ price: 0.0512, at: "2027-01-15T08:00:00Z" }, { timePath: ["at"] })).to.deep.equal(quote);
  });

  it("read_withoutATime_isOfNow", async () => {
    const before = Date.now();
    const { observedAtMs } = (await read({ price: 1 })) as { observedAtMs: number };
    expect(observedAtMs).to.be.within(before, Date.now());
  });

  const bad: [string, unknown, RegExp, Partial<HttpPriceOptions>?][] = [
    ["notJson", "<html>", /JSON/],
    ["nothingThere", {}, /price at price/],
    ["notANumber", { price: "a lot" }, /decimal number/],
    ["negative", { price: -0.05 }, /decimal number/],
    ["infinite", { price: "1e999" }, /decimal number/],
    ["hexadecimal", { price: "0x10" }, /decimal number/],
    ["inheritedMember", {}, /price at/, { path: ["constructor", "name"] }],
    ["noTime", { price: 1 }, /time/, { timePath: ["at"] }],
  ];
  for (const [name, json, message, options] of bad) {
    it(`read_${name}_isRefused`, async () => {
      const found = await read(json, options);
      expect(found).to.be.instanceOf(PriceError);
      expect((found as Error).message).to.match(message);
    });
  }

  it("read_otherStatus_isRefused", async () => {
    answer = (_request, response) => response.writeHead(429).end('{"price": 1}');
    const found = await new HttpPrice({ url, path: ["price"] }).read(signal).catch((error: unknown) => error);
    expect((found as Error).message).to.contain("429");
  });

  it("read_redirect_isNotFollowed", async () => {
    answer = (request, response) =>
      request.url === "/price"
        ? response.writeHead(302, { location: "/elsewhere" }).end()
        : response.end('{"price": 1}');
    expect(
      await new HttpPrice({ url, path: ["price"] }).read(signal).catch((error: unknown) => error),
    ).to.be.instanceOf(Error);
  });

  it("read_endlessAnswer_isCutOff", async () => {
    answer = (_request, response) => {
      const flood = (): void => {
        while (!response.destroyed && response.write(" ".repeat(16_384)));
      };
      response.on("drain", flood);
      flood();
    };
    expect(
      await new HttpPrice({ url, path: ["price"] }).read(signal).catch((error: unknown) => error),
    ).to.be.instanceOf(Error);
  });

  it("name_urlWithAKey_doesNotShowIt", () => {
    expect(new HttpPrice({ url: "https://prices.example/v1?key=secret", path: [] }).name).to.equal(
      "https://prices.example",
    );
  });
});

describe("picoUsdOf", () => {
  it("picoUsdOf_decimalNumbers_areExactToThePicodollar", () => {
    for (const [text, pico] of [
      ["0.05", 50_000_000_000n],
      ["1", 1_000_000_000_000n],
      ["4.2e-7", 420_000n],
      ["1E3", 10n ** 15n],
      ["0.0000000000009", 0n],
      ["123456789.123456789012345", 123_456_789_123_456_789_012n],
    ] as const) {
      expect(picoUsdOf(text), text).to.equal(pico);
    }
  });

  it("picoUsdOf_everyIntegerOfPicodollars_comesBack", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), (pico) => {
        const text = `${pico / 10n ** 12n}.${(pico % 10n ** 12n).toString().padStart(12, "0")}`;
        return picoUsdOf(text) === pico;
      }),
    );
  });

  it("picoUsdOf_otherTexts_areRefused", () => {
    for (const text of ["", "-1", "+1", "1.", ".5", "1,5", "NaN", "Infinity", " 1", "1e100", "1_000", "１"]) {
      expect(() => picoUsdOf(text), text).to.throw(PriceError);
    }
  });
});
