import { expect } from "chai";
import { keccak256, toUtf8Bytes } from "ethers";
import {
  chatOutputHash,
  completionOutputHash,
  inferenceOutputHash,
  inputHash,
} from "../../../simulator/receipts/hashes.ts";
import {
  chatRequestText,
  completionRequestText,
  inferenceRequestText,
} from "../../../simulator/receipts/requestText.ts";

const utf8 = (text: string) => keccak256(toUtf8Bytes(text));
const chat = (rest: string, messages = "[]") => chatRequestText(`{"model":"m","messages":${messages}${rest}}`);

describe("chat requests", () => {
  // Signed by OpenGradient's own gateway build.
  const canonical =
    '{"max_tokens": 100, "messages": [{"content": "Be brief.", "role": "system"}, ' +
    '{"content": "Gr\\u00fc\\u00dfe \\ud83c\\udf0d", "role": "user"}], "model": "openai/gpt-4.1-2025-04-14", ' +
    '"temperature": 0.0, "tools": [{"function": {"name": "f", "parameters": {"properties": ' +
    '{"x": {"minimum": 1.0, "type": "number"}}, "type": "object"}}, "type": "function"}]}';

  it("gives OpenGradient's own text and hash", () => {
    const body = `{"stream":true,"model":"openai/gpt-4.1-2025-04-14","max_tokens":100,"top_p":0.5,"tool_choice":"auto","seed":7,
      "messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Grüße 🌍","name":"ann"}],
      "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"type":"number","minimum":1.0}}}}}]}`;
    expect(chatRequestText(body)).to.equal(canonical).and.have.lengthOf(347);
    expect(inputHash("chat", Buffer.from(body))).to.equal(
      "0x8a394d25bdee5cc0125badfb615b71fcaa59a39487969d677b11e33d612d5dab",
    );
  });

  it("hashes the number as the client wrote it inside tools", () => {
    const tools = (minimum: string) => chat(`,"tools":[{"minimum":${minimum}}]`);
    expect(tools("1.0")).to.not.equal(tools("1"));
  });

  it("prints the temperature as a float", () => {
    expect(chat("")).to.equal('{"messages": [], "model": "m", "temperature": 0.0}');
    expect(chat(',"temperature":null')).to.equal(chat(""));
    expect(chat(',"temperature":1')).to.contain('"temperature": 1.0');
    expect(chat(',"temperature":0.00001')).to.contain('"temperature": 1e-05');
  });

  it("leaves out what is not set, as Python's truth has it", () => {
    expect(chat(',"max_tokens":null,"stop":[],"tools":[],"response_format":{},"web_search":false')).to.equal(chat(""));
    expect(chat(',"max_tokens":0')).to.contain('"max_tokens": 0');
    expect(chat(',"stop":"x","response_format":{"type":"json_object"},"web_search":true')).to.equal(
      '{"messages": [], "model": "m", "response_format": {"type": "json_object"}, "stop": "x", "temperature": 0.0, "web_search": true}',
    );
  });

  it("reduces messages to what is signed", () => {
    const messages = `[
      {"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"arguments":"{}","name":"f"}}]},
      {"role":"tool","tool_call_id":"c1","content":"4","name":"x"},
      {"role":"function","name":"f","content":"4"},
      {"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:"}},{"type":"file","file":{"filename":"a.pdf","file_data":"…"}}]}]`;
    expect(chat("", messages)).to.equal(
      '{"messages": [{"content": "", "role": "assistant", "tool_calls": [{"function": {"arguments": "{}", "name": "f"}, "id": "c1", "type": "function"}]}, ' +
        '{"content": "4", "role": "tool", "tool_call_id": "c1"}, {"content": "4", "name": "f", "role": "function"}, ' +
        '{"content": [{"text": "see", "type": "text"}, {"type": "image_url"}, {"filename": "a.pdf", "type": "file"}], "role": "user"}], "model": "m", "temperature": 0.0}',
    );
  });

  it("refuses what OpenGradient's gateway refuses", () => {
    for (const body of [
      "[]",
      "{}",
      '{"messages":{}}',
      '{"messages":["x"]}',
      '{"messages":[{"role":"wizard","content":"x"}]}',
      '{"messages":[{"role":"user","content":1}]}',
      '{"messages":[],"temperature":"hot"}',
      '{"messages":[{"role":"assistant","tool_calls":[{"id":"x"}]}]}',
    ]) {
      expect(() => chatRequestText(body), body)
        .to.throw("Expected")
        .with.property("code", "invalid_request");
    }
    expect(() => chatRequestText("{"))
      .to.throw("Expected")
      .with.property("code", "invalid_json");
  });

  it("hashes text, or the calls when tools are called", () => {
    expect(chatOutputHash({ content: "Hello, Wörld 🌍" })).to.equal(
      "0x80bf04f9c339fb4a20ea7cd758f45ef61340e2ab1113c9408010272514554360",
    );
    const call = { id: "c1", type: "function", function: { name: "f", arguments: '{"x": 1}' } };
    const calls = utf8('[{"function": {"arguments": "{\\"x\\": 1}", "name": "f"}, "id": "c1", "type": "function"}]');
    expect(chatOutputHash({ content: "ignored", tool_calls: [call] })).to.equal(calls);
    expect(chatOutputHash({ content: null, tool_calls: [{ index: 0, ...call }] })).to.equal(calls);
    expect(chatOutputHash({ content: null, tool_calls: [] })).to.equal(utf8(""));
  });
});

describe("completion requests", () => {
  it("gives OpenGradient's text", () => {
    const body = '{"prompt":"Say ü","model":"m","max_tokens":5,"stop":["\\n"],"top_p":1,"temperature":0.7}';
    const text = '{"max_tokens": 5, "model": "m", "prompt": "Say \\u00fc", "stop": ["\\n"], "temperature": 0.7}';
    expect(completionRequestText(body)).to.equal(text);
    expect(inputHash("completion", body)).to.equal(utf8(text));
    expect(completionOutputHash("ü")).to.equal(utf8("ü"));
  });
});

describe("inference requests", () => {
  it("hashes model and inputs by RFC 8785", () => {
    const body = '{"inputs":{"x":[[1.0,2.50]],"a":"é"},"model":"opengradient/liquidation-risk-v1","note":"not signed"}';
    const text = '{"inputs":{"a":"é","x":[[1,2.5]]},"model":"opengradient/liquidation-risk-v1"}';
    expect(inferenceRequestText(body)).to.equal(text);
    expect(inputHash("inference", body)).to.equal(utf8(text));
    expect(inferenceOutputHash({ y: [0.5], label: 1 })).to.equal(utf8('{"label":1,"y":[0.5]}'));
  });

  it("refuses a request without model or inputs", () => {
    expect(() => inferenceRequestText('{"inputs":[]}')).to.throw("model");
    expect(() => inferenceRequestText('{"model":"m"}')).to.throw("inputs");
  });
});
