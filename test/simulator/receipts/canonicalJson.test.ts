import { expect } from "chai";
import fc from "fast-check";
import { canonicalJson } from "../../../simulator/receipts/canonicalJson.ts";
import { parseJson, toJson } from "../../../simulator/receipts/json.ts";

const jcs = (text: string) => canonicalJson(parseJson(text));

describe("parseJson", () => {
  it("reads what JSON.parse reads", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(jcs(JSON.stringify(value, null, 2)))).to.deep.equal(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("refuses what is not JSON, and repeated members", () => {
    for (const text of [
      "",
      " ",
      "{",
      "[1,]",
      '{"a":1,}',
      "{a:1}",
      "01",
      "+1",
      "1.",
      ".5",
      "1e",
      "NaN",
      "Infinity",
      "nul",
      '"\n"',
      '"\\x"',
      '"\\u12"',
      "[1 2]",
      '{"a" 1}',
      "1 2",
      "\ufeff1",
      '{"a":1,"a":1}',
      '{"a":1,"\\u0061":2}',
      "[".repeat(300) + "]".repeat(300),
      "9".repeat(5000),
    ]) {
      expect(() => parseJson(text), text.slice(0, 20)).to.throw("Expected");
    }
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).to.throw("UTF-8");
  });

  it("keeps members called like those of Object.prototype", () => {
    expect(jcs('{"__proto__":1,"constructor":2}')).to.equal('{"__proto__":1,"constructor":2}');
  });
});

describe("canonicalJson", () => {
  it("gives the example of RFC 8785, section 3.2", () => {
    const text = `{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
      "literals": [null, true, false]
    }`;
    expect(jcs(text)).to.equal(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it("sorts members by UTF-16 units (RFC 8785, section 3.2.3)", () => {
    const text = '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}';
    expect(jcs(text)).to.equal('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
  });

  it("prints numbers as doubles", () => {
    expect(jcs("[-0, -0.0, 1.0, 1e21, 123456789012345678901, 5e-324]")).to.equal(
      "[0,0,1,1e+21,123456789012345680000,5e-324]",
    );
  });

  it("refuses numbers that are no doubles and lone surrogates", () => {
    expect(() => jcs("1e400")).to.throw("a double");
    expect(() => jcs('"\\ud800"')).to.throw("lone surrogate");
    expect(() => jcs('{"\\udc00":1}')).to.throw("lone surrogate");
  });

  it("is a fixed point", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const once = canonicalJson(toJson(value));
        expect(jcs(once)).to.equal(once);
      }),
    );
  });
});
