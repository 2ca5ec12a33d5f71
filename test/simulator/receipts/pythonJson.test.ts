import { spawnSync } from "node:child_process";

import { expect } from "chai";
import fc from "fast-check";
import { parseJson } from "../../../simulator/receipts/json.ts";
import { pythonFloat, pythonJson } from "../../../simulator/receipts/pythonJson.ts";

const python = (text: string) => pythonJson(parseJson(text));

/** JSON texts as a client may write them: numbers in all forms, strings in any escaping, members in any order. */
const digits = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789"), minLength, maxLength });
const numbers = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => String(value)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential().toUpperCase()),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential(12)),
  fc.integer({ min: -25, max: 25 }).map((power) => `1e${power}`),
  fc.tuple(fc.boolean(), digits(1, 40)).map(([minus, text]) => (minus ? "-" : "") + BigInt(text)),
  fc.tuple(fc.boolean(), digits(1, 20), digits(1, 20)).map(([minus, a, b]) => `${minus ? "-" : ""}${BigInt(a)}.${b}`),
  fc
    .tuple(digits(1, 4), digits(1, 18), fc.integer({ min: -330, max: 310 }))
    .map(([a, b, power]) => `${BigInt(a)}.${b}E${power >= 0 ? "+" : ""}${power}`),
  fc.constantFrom(
    "-0",
    "-0.0",
    "0e0",
    "9007199254740993",
    "9007199254740993.0",
    "1e400",
    "-1e400",
    "5e-324",
    "2.5e-324",
  ),
);
const units = fc.oneof(
  fc.constantFrom(0x00, 0x1f, 0x20, 0x22, 0x2f, 0x5c, 0x7e, 0x7f, 0x80, 0x2028, 0xd7ff, 0xe000, 0xffff),
  fc.integer({ min: 0, max: 0xffff }),
  fc.integer({ min: 0xd800, max: 0xdfff }),
);
const strings = fc.array(units, { maxLength: 6 }).map((codes) => JSON.stringify(String.fromCharCode(...codes)));
const texts = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom("null", "true", "false"),
    numbers,
    strings,
    tie("array"),
    tie("object"),
  ),
  array: fc.array(tie("value"), { maxLength: 5 }).map((items) => `[ ${items.join("\t,\n")}]`),
  object: fc
    .uniqueArray(fc.tuple(strings, tie("value")), { maxLength: 6, selector: ([name]) => JSON.parse(name) as string })
    .map((members) => `{${members.map(([name, value]) => `${name} :${value}`).join(", ")}}`),
})).value;

/** What Python prints for each text, or undefined where there is no Python. */
function askPython(inputs: readonly string[]): string[] | undefined {
  const program =
    "import json,sys; print(json.dumps([json.dumps(json.loads(t), sort_keys=True) for t in json.load(sys.stdin)]))";
  const { status, stdout } = spawnSync("python3", ["-c", program], {
    input: JSON.stringify(inputs),
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return status === 0 ? (JSON.parse(stdout) as string[]) : undefined;
}

describe("pythonJson", () => {
  // Expected values printed by Python 3.11: json.dumps(json.loads(text), sort_keys=True)
  const cases: [string, string][] = [
    ["0.0", "0.0"],
    ["-0.0", "-0.0"],
    ["-0", "0"],
    ["1.0", "1.0"],
    ["1", "1"],
    ["1e3", "1000.0"],
    ["1E-5", "1e-05"],
    ["0.0001", "0.0001"],
    ["0.00012345", "0.00012345"],
    ["1e15", "1000000000000000.0"],
    ["9999999999999998.0", "9999999999999998.0"],
    ["1e16", "1e+16"],
    ["12345678901234567890.0", "1.2345678901234567e+19"],
    ["1e100", "1e+100"],
    ["-2.5e-7", "-2.5e-07"],
    ["5e-324", "5e-324"],
    ["0.1", "0.1"],
    ["123.456", "123.456"],
    ["1e400", "Infinity"],
    ["-1e400", "-Infinity"],
    ["123456789012345678901234567890", "123456789012345678901234567890"],
    ['"\\u007f\\u0080\\u00fc\\ud83c\\udf0d/\\u2028"', '"\\u007f\\u0080\\u00fc\\ud83c\\udf0d/\\u2028"'],
    ['"\\ud800 \\b\\f\\n\\r\\t\\u0001\\"\\\\"', '"\\ud800 \\b\\f\\n\\r\\t\\u0001\\"\\\\"'],
    ['{"b":1,"a":[],"":{}}', '{"": {}, "a": [], "b": 1}'],
    ['{"\\ufb33":1,"\\ud83d\\ude00":2,"z":3}', '{"z": 3, "\\ufb33": 1, "\\ud83d\\ude00": 2}'],
    ['{"\\ude00":1,"\\ud83d\\ude00":2}', '{"\\ude00": 1, "\\ud83d\\ude00": 2}'],
    ['{"\\ud83d\\uffff":1,"\\ud83d\\ude00":2}', '{"\\ud83d\\uffff": 1, "\\ud83d\\ude00": 2}'],
    ['{"ab":1,"a":2}', '{"a": 2, "ab": 1}'],
    ["[true,false,null]", "[true, false, null]"],
  ];
  for (const [text, expected] of cases) {
    it(`prints ${text} as Python does`, () => {
      expect(python(text)).to.equal(expected);
    });
  }

  it("floats read back as the same double and never look like integers", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const printed = pythonFloat(value);
        expect(Object.is(Number(printed), value), printed).to.equal(true);
        expect(printed).to.match(/[.e]/);
        expect(printed).to.match(/^-?(\d{1,16}\.\d+|\d(\.\d+)?e[+-]\d{2,3})$/);
      }),
      { numRuns: 1000 },
    );
  });

  it("prints what the Python on this machine prints", function () {
    this.timeout(60_000);
    const inputs = fc.sample(texts, { numRuns: 3_000, seed: 0x4f5047 });
    const printed = askPython(inputs);
    if (printed === undefined) {
      console.log("      no python3 on this machine: compared with fixed vectors only");
      this.skip();
    }
    expect(printed).to.have.length(inputs.length);
    inputs.forEach((text, i) => expect(python(text), text).to.equal(printed[i]));
  });

  it("is a fixed point, where no number is beyond a double", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const once = python(text);
        fc.pre(!once.includes("Infinity"));
        expect(python(once)).to.equal(once);
        expect(once).to.match(/^[\x20-\x7e]*$/);
      }),
    );
  });
});
