import { expect } from "chai";
import { ethers } from "ethers";

import { pythonJson } from "../../../simulator/receipts/pythonJson.ts";
import { parseJson } from "../../../simulator/receipts/json.ts";
import {
  signTeeFields,
  teeFieldsSchema,
  teeInferenceText,
  teeMessageHash,
  teeRequestHash,
  type TeeStatement,
} from "../../../simulator/receipts/teeReceipt.ts";
import { teeOutputHash } from "../../../simulator/receipts/checkTeeFields.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

/** The vector of OpenGradient's own gateway. */
const BODY = `{"model":"openai/gpt-4.1-2025-04-14","temperature":0,"max_tokens":100,
  "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße 🌍"}],
  "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"type":"number","minimum":1.0}}}}}]}`;
const STATEMENT: TeeStatement = {
  requestHash: "0x8a394d25bdee5cc0125badfb615b71fcaa59a39487969d677b11e33d612d5dab",
  outputHash: "0x80bf04f9c339fb4a20ea7cd758f45ef61340e2ab1113c9408010272514554360",
  timestamp: 1_776_774_600n,
};
const MESSAGE_HASH = "0xf0f83d5071c88bf2a96f0418e5c53c16bbe5a30a242524054d0e2b14d00faf87";

describe("teeReceipt", () => {
  it("vectorOfOpenGradient_isReproduced", () => {
    expect(teeRequestHash("chat", BODY)).to.equal(STATEMENT.requestHash);
    const answer = JSON.stringify({ choices: [{ message: { role: "assistant", content: "Hello, Wörld 🌍" } }] });
    expect(teeOutputHash("chat", answer)).to.equal(STATEMENT.outputHash);
    expect(teeMessageHash(STATEMENT)).to.equal(MESSAGE_HASH);
  });

  it("teeMessageHash_isThatOfThePackedFields", () => {
    for (const timestamp of [0n, 1n, 2n ** 53n]) {
      const fields = { ...STATEMENT, timestamp };
      expect(teeMessageHash(fields)).to.equal(
        ethers.solidityPackedKeccak256(
          ["bytes32", "bytes32", "uint256"],
          [fields.requestHash, fields.outputHash, timestamp],
        ),
      );
    }
    expect(() => teeMessageHash({ ...STATEMENT, timestamp: -1n })).to.throw("unsigned");
    expect(() => teeMessageHash({ ...STATEMENT, requestHash: "0x12" })).to.throw("32 bytes");
  });

  it("teeRequestHash_ofTensors_keepsNumbersAsTheClientWroteThem", () => {
    const body = '{"stream":false,"model":"m","inputs":{"x":[[1.0, 2.50, 3, 1e-7]],"ä":"é"}}';
    expect(teeInferenceText(body)).to.equal(
      '{"inputs": {"x": [[1.0, 2.5, 3, 1e-07]], "\\u00e4": "\\u00e9"}, "model": "m"}',
    );
    expect(teeRequestHash("inference", body)).to.equal(keccak256(teeInferenceText(body)));
    expect(teeRequestHash("inference", body)).to.not.equal(teeRequestHash("inference", body.replace("1.0", "1")));
    for (const wrong of ["[]", "{}", '{"model":"m"}', '{"inputs":{},"model":1}']) {
      expect(() => teeInferenceText(wrong), wrong)
        .to.throw("Expected")
        .with.property("code", "invalid_request");
    }
  });

  it("teeRequestHash_leavesOutWhatOpenGradientDoesNotSign", () => {
    const more = BODY.replace("{", '{"stream":true,"tool_choice":"auto","top_p":0.5,"n":1,"seed":4,"user":"u",');
    expect(teeRequestHash("chat", more)).to.equal(STATEMENT.requestHash);
    expect(teeRequestHash("chat", BODY.replace("1.0", "1"))).to.not.equal(STATEMENT.requestHash);
  });

  it("teeOutputHash_ofToolCalls_isThatOfTheirDump", () => {
    const call = { id: "c1", type: "function", function: { name: "f", arguments: '{"stadt": "Köln"}' } };
    const text = JSON.stringify({ choices: [{ message: { content: null, tool_calls: [call] } }] });
    expect(teeOutputHash("chat", text)).to.equal(keccak256(pythonJson(parseJson(JSON.stringify([call])))));
  });

  it("teeOutputHash_ofTensors_isThatOfTheirDump", () => {
    const text = '{"id":"i","outputs":{"y":[0.5,1.0,2],"label":"ja"},"model":"m"}';
    expect(teeOutputHash("inference", text)).to.equal(keccak256('{"label": "ja", "y": [0.5, 1.0, 2]}'));
  });

  it("fields_ofAStatement_readBack", async () => {
    const teeId: Hex = `0x${"7e".repeat(32)}`;
    const signed: string[] = [];
    const fields = await signTeeFields(
      {
        teeId,
        signTeeMessage: (hash) => {
          signed.push(Buffer.from(hash).toString("hex"));
          return Promise.resolve(Buffer.alloc(256, 5));
        },
      },
      STATEMENT,
    );
    expect(signed).to.deep.equal([MESSAGE_HASH.slice(2)]);
    expect(fields).to.deep.equal({
      tee_signature: Buffer.alloc(256, 5).toString("base64"),
      tee_request_hash: STATEMENT.requestHash.slice(2),
      tee_output_hash: STATEMENT.outputHash.slice(2),
      tee_timestamp: 1_776_774_600,
      tee_id: teeId,
    });
    expect(fields.tee_signature).to.have.length(344);
    const read = teeFieldsSchema.parse({ ...fields, choices: [] });
    expect(read).to.deep.equal({ statement: STATEMENT, teeId, signature: Buffer.alloc(256, 5) });
  });
});
