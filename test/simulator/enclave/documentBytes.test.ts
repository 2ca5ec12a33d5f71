import { expect } from "chai";

import { documentBytes } from "../../../simulator/cli/documentBytes.ts";
import { bytesOf } from "../../support/attestationForgery.ts";

const DOCUMENT = Buffer.concat([Buffer.from("8444a1013822a0", "hex"), bytesOf("document", 500)]);
const TAGGED = Buffer.concat([Buffer.of(0xd2), DOCUMENT]);

describe("documentBytes", () => {
  for (const [what, document] of Object.entries({ untagged: DOCUMENT, tagged: TAGGED })) {
    const base64 = document.toString("base64");
    const hex = document.toString("hex");
    for (const [form, input] of Object.entries({
      bytes: document,
      base64,
      "base64 in lines": base64.replace(/.{64}/g, "$&\r\n"),
      base64url: document.toString("base64url"),
      hexadecimal: hex,
      "hexadecimal with a prefix, in capitals": `0x${hex.toUpperCase()}\n`,
    })) {
      it(`reads a document, ${what}, as ${form}`, () => {
        expect(documentBytes(Buffer.from(input))).to.deep.equal(document);
      });
    }
  }

  for (const [what, input, found] of [
    ["nothing", "", "found nothing"],
    ["white space", " \n", "2 bytes that begin with 200a"],
    ["other text", "hello, world", "12 bytes that begin with 68656c6c6f2c2077"],
    ["base64 of something else", Buffer.from("hello").toString("base64"), "8 bytes"],
    ["an odd number of digits", "0x844", "5 bytes"],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => documentBytes(Buffer.from(input)))
        .to.throw("Expected COSE_Sign1")
        .with.property("code", "malformed_cose");
      expect(() => documentBytes(Buffer.from(input))).to.throw(found);
    });
  }
});
