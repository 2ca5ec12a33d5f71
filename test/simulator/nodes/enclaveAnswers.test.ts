import { expect } from "chai";
import type OpenAI from "openai";

import { StreamedOutput } from "../../../simulator/client/readAnswer.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { compatibleUpstream, localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { checkTeeAnswer, checkTeeFields, type TeeKey } from "../../../simulator/receipts/checkTeeFields.ts";
import { inputHash, type RequestKind } from "../../../simulator/receipts/hashes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import { type TeeFields, teeInferenceText, teeRequestHash } from "../../../simulator/receipts/teeReceipt.ts";
import { Mode } from "../../../simulator/receipts/types.ts";
import { startEnclave } from "../client/registeredEnclave.ts";
import {
  FEE,
  headers,
  MODEL_ID,
  nodeOptions,
  openAiClient,
  payment,
  post,
  receiptOf,
  signerOf,
} from "./nodeFixture.ts";
import { ProviderServer } from "./ProviderServer.ts";

const CHAT = "/v1/chat/completions";
const TEE_MEMBERS = ["tee_signature", "tee_request_hash", "tee_output_hash", "tee_timestamp", "tee_id"];
const user = (content: string) => ({ role: "user" as const, content });
const WEATHER = {
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

/** The `data` of a stream's events, without the `[DONE]` that has to end it. */
async function chunksOf(response: Response): Promise<Record<string, unknown>[]> {
  const events = (await response.text()).trimEnd().split("\n\n");
  expect(events.pop()).to.equal("data: [DONE]");
  return events.map((event) => JSON.parse(event.slice("data: ".length)) as Record<string, unknown>);
}

describe("nodes in an enclave", () => {
  const provider = new ProviderServer();
  /** Steps on with every look: the two times of an answer are the same for all that. */
  let now = 1_900_000_000;
  let enclave: Enclave;
  let key: TeeKey;
  let chat: LlmProxyNode;
  let tensors: LocalInferenceNode;

  before(async () => {
    await provider.start();
    enclave = await startEnclave();
    key = enclave;
    const offer = { modelId: MODEL_ID, feeWei: FEE };
    chat = new LlmProxyNode({
      ...nodeOptions({ enclave, nowSeconds: () => now++ }),
      upstreams: [localUpstream(), { ...(await compatibleUpstream(provider.url)), complete: false }],
      offers: [LOCAL_TEXT_MODEL_ID, "compatible/talker", "compatible/caller", "compatible/breaker"].map((id) => ({
        ...offer,
        id,
      })),
    });
    tensors = new LocalInferenceNode({
      ...nodeOptions({ enclave, nowSeconds: () => now++ }),
      offers: [{ ...offer, id: LIQUIDATION_RISK_ID, source: LIQUIDATION_RISK_MODEL }],
    });
    await Promise.all([chat.start(), tensors.start()]);
  });
  after(async () => {
    await Promise.all([chat.stop(), tensors.stop()]);
    await provider.stop();
    for (const { store } of [chat, tensors]) store.close();
  });

  /** The fields and the receipt of an answer (or last chunk) say the same, by the enclave's two keys. */
  const agrees = (answer: unknown, kind: RequestKind, body: string): void => {
    const { tee_timestamp, tee_request_hash, tee_output_hash, tee_id } = answer as TeeFields;
    const signed = receiptOf(answer);
    expect(signed.receipt.mode).to.equal(Mode.Tee);
    expect(signerOf(signed)).to.equal(enclave.signer.address);
    expect(signed.receipt.servedAt).to.equal(BigInt(tee_timestamp));
    expect(signed.receipt.inputHash).to.equal(inputHash(kind, body));
    expect(tee_id).to.equal(enclave.teeId);
    if (kind === "inference") return;
    expect(`0x${tee_request_hash}`).to.equal(signed.receipt.inputHash);
    expect(`0x${tee_output_hash}`).to.equal(signed.receipt.outputHash);
  };

  it("models_listModeTee", async () => {
    for (const node of [chat, tensors]) {
      const response = await fetch(`${node.url}/models`, { headers: headers() });
      const { models } = (await response.json()) as { models: { modes: number[] }[] };
      expect(models.map(({ modes }) => modes)).to.deep.equal(models.map(() => [Mode.Tee]));
      expect(node.mode).to.equal(Mode.Tee);
      expect(node.signer).to.equal(enclave.signer);
    }
  });

  for (const [what, model, body] of [
    ["text", LOCAL_TEXT_MODEL_ID, { messages: [user("What is a receipt?")], max_tokens: 8 }],
    ["unicode", "compatible/talker", { messages: [user("Grüße 🌍 \u2028 \"'\\")], temperature: 1 }],
    ["toolCalls", "compatible/caller", { messages: [user("Weather?")], tools: [WEATHER], tool_choice: "auto" }],
  ] as const) {
    it(`chat_${what}_carriesFieldsThatCheck`, async () => {
      const request = JSON.stringify({ model, ...body });
      const text = await (await post(chat, CHAT, request)).text();
      checkTeeAnswer("chat", request, text, key);
      agrees(JSON.parse(text), "chat", request);
      expect(() => checkTeeAnswer("chat", request.replace("W", "V").replace("G", "H"), text, key))
        .to.throw()
        .with.property("code", "tee_hash_mismatch");
    });

    it(`chatStream_${what}_endsWithFieldsThatCheck`, async () => {
      const request = JSON.stringify({ model, ...body, stream: true });
      const chunks = await chunksOf(await post(chat, CHAT, request));
      const output = new StreamedOutput("chat");
      for (const chunk of chunks) output.add(chunk);
      const last = chunks.pop()!;
      const expected = { requestHash: teeRequestHash("chat", request), outputHash: output.hash() };
      checkTeeFields(last, expected, key);
      agrees(last, "chat", request);
      // as OpenGradient's gateway ends a stream: reason, usage and signature in one chunk
      expect(last).to.have.nested.property(
        "choices[0].finish_reason",
        what === "toolCalls" ? "tool_calls" : what === "text" ? "length" : "stop",
      );
      expect(last).to.have.nested.property("choices[0].delta").that.deep.equals({});
      expect(last).to.have.nested.property("usage.total_tokens").that.is.greaterThan(0);
      for (const chunk of chunks) {
        expect(chunk).to.not.have.any.keys(...TEE_MEMBERS, "opengradient", "usage");
        expect(chunk).to.have.nested.property("choices[0].finish_reason", null);
      }
    });
  }

  it("chat_ownNumberLexemes_areHashedAsWritten", async () => {
    const schema = (minimum: string) =>
      `{"model":"compatible/caller","temperature":0,"messages":[{"role":"user","content":"x"}],` +
      `"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","minimum":${minimum}}}}]}`;
    const text = await (await post(chat, CHAT, schema("1.0"))).text();
    checkTeeAnswer("chat", schema("1.0"), text, key);
    expect(() => checkTeeAnswer("chat", schema("1"), text, key))
      .to.throw()
      .with.property("code", "tee_hash_mismatch");
  });

  it("chatStream_stockClient_readsItWhole", async () => {
    const stream = openAiClient(chat).chat.completions.stream({
      model: "compatible/caller",
      messages: [user("Weather?")],
      tools: [WEATHER],
    });
    const { choices, usage } = await stream.finalChatCompletion();
    expect(choices[0]?.finish_reason).to.equal("tool_calls");
    expect(choices[0]?.message.tool_calls?.[0]).to.have.nested.property("function.arguments", '{"city": "Köln"}');
    expect(usage?.total_tokens).to.equal(18);
  });

  it("chat_sameAgain_getsTheSameSignature", async () => {
    const paid = payment();
    const body = { model: LOCAL_TEXT_MODEL_ID, messages: [user("What is a stake?")] };
    const first = await (await post(chat, CHAT, body, paid)).text();
    expect(await (await post(chat, CHAT, body, paid)).text()).to.equal(first);
  });

  it("completion_carriesFieldsThatCheck_andItsTextAtTheTop", async () => {
    const request = JSON.stringify({ model: LOCAL_TEXT_MODEL_ID, prompt: "The verifier checks", max_tokens: 6 });
    const text = await (await post(chat, "/v1/completions", request)).text();
    checkTeeAnswer("completion", request, text, key);
    const answer = JSON.parse(text) as OpenAI.Completion & { completion: string };
    agrees(answer, "completion", request);
    expect(answer.completion).to.equal(answer.choices[0]?.text);
  });

  it("completionStream_endsWithFieldsThatCheck", async () => {
    const request = JSON.stringify({ model: LOCAL_TEXT_MODEL_ID, prompt: "A batch is", max_tokens: 6, stream: true });
    const chunks = await chunksOf(await post(chat, "/v1/completions", request));
    const output = new StreamedOutput("completion");
    for (const chunk of chunks) output.add(chunk);
    const last = chunks.at(-1);
    checkTeeFields(last, { requestHash: teeRequestHash("completion", request), outputHash: output.hash() }, key);
    agrees(last, "completion", request);
    expect(last).to.have.nested.property("choices[0].finish_reason", "length");
  });

  it("inference_carriesFieldsOverPythonsDump", async () => {
    const request = `{"model":"${LIQUIDATION_RISK_ID}","inputs":{"positions":[[0.60, 8e-1, 0.9, 0.01, -0.1, 0.05, 4.0, 30]]}}`;
    const text = await (await post(tensors, "/v1/inference", request)).text();
    checkTeeAnswer("inference", request, text, key);
    const answer = JSON.parse(text) as TeeFields & { outputs: { risk: number[][] } };
    agrees(answer, "inference", request);
    expect(answer.tee_request_hash).to.equal(
      keccak256(
        `{"inputs": {"positions": [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4.0, 30]]}, "model": "${LIQUIDATION_RISK_ID}"}`,
      ).slice(2),
    );
    expect(teeInferenceText(request)).to.contain("4.0, 30]");
  });

  it("chatStream_brokenOff_carriesNoSignature", async () => {
    const request = { model: "compatible/breaker", messages: [user("Hello")], stream: true };
    const text = await (await post(chat, CHAT, request)).text();
    expect(text).to.include('"error"').and.to.not.include("tee_signature").and.to.not.include("[DONE]");
  });

  it("enclaveThatCannotSign_meansNoAnswerAndNoReceipt", async () => {
    const options = nodeOptions({
      enclave: {
        teeId: enclave.teeId,
        publicKeyDer: enclave.publicKeyDer,
        signer: enclave.signer,
        signTeeMessage: () => Promise.reject(new Error("the module does not answer")),
      },
    });
    const node = new LlmProxyNode({
      ...options,
      upstreams: [localUpstream()],
      offers: [{ id: LOCAL_TEXT_MODEL_ID, modelId: MODEL_ID, feeWei: FEE }],
    });
    await node.start();
    const response = await post(node, CHAT, { model: LOCAL_TEXT_MODEL_ID, messages: [user("Hi")] });
    expect(response.status).to.equal(500);
    expect(await response.text()).to.not.include("module");
    expect(node.store.unbatched(10)).to.deep.equal([]);
    await node.stop();
    options.store.close();
  });

  it("signer_missingOrNotTheEnclaves_isRefused", () => {
    const options = { ...nodeOptions({ enclave }), upstreams: [localUpstream()], offers: [] };
    const strange = { ...options, signer: signerFromKey(randomKey()) };
    expect(() => new LlmProxyNode(strange)).to.throw(TypeError, "enclave's signer");
    // as plain JavaScript could
    const bare = Object.fromEntries(Object.entries(options).filter(([name]) => name !== "enclave"));
    expect(() => new LlmProxyNode(bare as unknown as typeof options)).to.throw(TypeError, "Expected a signer");
    options.store.close();
  });

  it("outsideAnEnclave_nothingIsAdded", async () => {
    const options = nodeOptions();
    const node = new LlmProxyNode({
      ...options,
      upstreams: [localUpstream()],
      offers: [{ id: LOCAL_TEXT_MODEL_ID, modelId: MODEL_ID, feeWei: FEE }],
    });
    await node.start();
    const answer = (await (
      await post(node, CHAT, { model: LOCAL_TEXT_MODEL_ID, messages: [user("Hi")] })
    ).json()) as object;
    expect(answer).to.not.have.any.keys(...TEE_MEMBERS);
    expect(receiptOf(answer).receipt.mode).to.equal(Mode.Vanilla);
    await node.stop();
    options.store.close();
  });
});
