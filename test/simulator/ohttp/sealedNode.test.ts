import { expect } from "chai";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { encodePaymentHeader, type NodePayment, PAYMENT_HEADER } from "../../../simulator/nodes/paymentHeader.ts";
import { localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { decodeInnerResponse, padJson } from "../../../simulator/ohttp/innerMessages.ts";
import { generateSealingKey, type SealingKey } from "../../../simulator/ohttp/keyConfig.ts";
import { openResponseChunks } from "../../../simulator/ohttp/responseChunks.ts";
import { sealRequest } from "../../../simulator/ohttp/sealedRequest.ts";
import { openResponse } from "../../../simulator/ohttp/sealedResponse.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_REQUEST, OHTTP_RESPONSE } from "../../../simulator/ohttp/suite.ts";
import { errorCode } from "../gateway/gatewayFixture.ts";
import { BEARER, FEE, MODEL_ID, nodeOptions, payment } from "../nodes/nodeFixture.ts";
import { collect } from "./sealing.ts";

const chat = (content: string, more: object = {}): Buffer =>
  padJson(
    JSON.stringify({ model: LOCAL_TEXT_MODEL_ID, messages: [{ role: "user", content }], max_tokens: 8, ...more }),
  );

describe("sealed requests at a node", () => {
  const options = nodeOptions();
  let key: SealingKey;
  let node: LlmProxyNode;

  before(async () => {
    key = await generateSealingKey();
    const offers = [{ id: LOCAL_TEXT_MODEL_ID, modelId: MODEL_ID, feeWei: FEE }];
    node = new LlmProxyNode({ ...options, sealing: key, upstreams: [localUpstream()], offers });
    await node.start();
  });

  after(async () => {
    await node.stop();
    options.store.close();
  });

  const post = (bytes: Uint8Array, paid: NodePayment, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${node.url}/v1/ohttp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${BEARER}`,
        "content-type": OHTTP_REQUEST,
        accept: OHTTP_RESPONSE,
        "x-og-model-id": MODEL_ID,
        [PAYMENT_HEADER]: encodePaymentHeader(paid),
        ...headers,
      },
      body: new Uint8Array(bytes),
    });

  const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());

  it("copiesThatComeWhileOthersAreOpened_getOneAnswer", async () => {
    const { bytes, secrets } = await sealRequest(key, chat("What is a receipt?"));
    const paid = payment();
    const responses = await Promise.all(Array.from({ length: 40 }, () => post(bytes, paid)));
    const answers = await Promise.all(responses.map(bytesOf));
    expect(responses.map(({ status }) => status)).to.deep.equal(Array<number>(40).fill(200));
    expect(new Set(answers.map((answer) => Buffer.from(answer).toString("hex"))).size).to.equal(1);
    const { body } = decodeInnerResponse(openResponse(secrets, answers[0]!));
    expect(JSON.parse(body)).to.have.nested.property(
      "choices[0].message.content",
      "A receipt is what a node signs about",
    );
  });

  it("streamedAnswer_isStoredAsItWasSent", async () => {
    const { bytes, secrets } = await sealRequest(key, chat("What is a receipt?", { stream: true }));
    const paid = payment();
    const ask = async (): Promise<Uint8Array> => bytesOf(await post(bytes, paid, { accept: OHTTP_CHUNKED_RESPONSE }));
    const first = await ask();
    expect(Buffer.from(await ask()).equals(first)).to.be.true;
    const text = (await collect(openResponseChunks(secrets, ReadableStream.from([first])))).toString();
    const deltas = [...text.matchAll(/"delta":\{"content":"([^"]*)"/g)].map(([, word]) => word);
    expect(deltas.join("")).to.equal("A receipt is what a node signs about");
    expect(text.trimEnd()).to.match(/data: \[DONE\]$/);
  });

  it("samePaymentForOtherCiphertext_isAConflict", async () => {
    const paid = payment();
    const [first, other] = [await sealRequest(key, chat("one")), await sealRequest(key, chat("one"))];
    expect((await post(first.bytes, paid)).status).to.equal(200);
    const response = await post(other.bytes, paid);
    expect([response.status, await errorCode(response)]).to.deep.equal([409, "request_id_reused"]);
  });

  it("anotherModelThanWasPaidFor_isNotRun", async () => {
    const { bytes, secrets } = await sealRequest(key, chat("one"));
    const response = await post(bytes, payment(), { "x-og-model-id": `0x${"ee".repeat(32)}` });
    expect(response.status).to.equal(400);
    const { status, body } = decodeInnerResponse(openResponse(secrets, await bytesOf(response)));
    expect([status, (JSON.parse(body) as { error: { code: string } }).error.code]).to.deep.equal([400, "wrong_model"]);
  });

  it("feeBelowTheModelsPrice_isRefusedUnderSeal", async () => {
    const { bytes, secrets } = await sealRequest(key, chat("one"));
    const response = await post(bytes, payment({ feeWei: FEE - 1n }));
    const { body } = decodeInnerResponse(openResponse(secrets, await bytesOf(response)));
    expect((JSON.parse(body) as { error: { code: string } }).error.code).to.equal("fee_too_low");
  });

  it("callsWithoutWhatTheyNeed_areRefusedInTheClear", async () => {
    const { bytes } = await sealRequest(key, chat("one"));
    for (const [headers, status, code] of [
      [{ authorization: "Bearer guess" }, 401, "unauthorized"],
      [{ "x-og-model-id": "risk" }, 400, "invalid_model_header"],
      [{ [PAYMENT_HEADER]: "" }, 400, "invalid_payment_header"],
      [{ "content-type": "application/json" }, 415, "invalid_request"],
    ] as [Record<string, string>, number, string][]) {
      const response = await post(bytes, payment(), headers);
      expect([response.status, await errorCode(response)]).to.deep.equal([status, code]);
    }
  });

  it("nodeWithoutAKey_servesNone", async () => {
    const plain = nodeOptions();
    const other = new LlmProxyNode({ ...plain, upstreams: [localUpstream()], offers: [] });
    await other.start();
    const headers = { authorization: `Bearer ${BEARER}` };
    expect((await fetch(`${other.url}/v1/ohttp/config`, { headers })).status).to.equal(404);
    expect((await fetch(`${other.url}/v1/ohttp`, { method: "POST", headers })).status).to.equal(404);
    expect(await (await fetch(`${other.url}/models`, { headers })).json()).to.deep.equal({ models: [] });
    await other.stop();
    plain.store.close();
  });
});
