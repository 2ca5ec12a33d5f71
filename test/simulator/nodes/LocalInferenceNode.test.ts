import { expect } from "chai";

import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { inferenceOutputHash, inputHash } from "../../../simulator/receipts/hashes.ts";
import { requestIdForPayment } from "../../../simulator/receipts/requestId.ts";
import { rejection } from "../../support/rejection.ts";
import {
  DOMAIN,
  FEE,
  headers,
  MODEL_ID,
  nodeOptions,
  PAYER,
  payment,
  post,
  receiptOf,
  signerOf,
} from "./nodeFixture.ts";

const PATH = "/v1/inference";
const BODY = { model: LIQUIDATION_RISK_ID, inputs: { positions: [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]] } };
const offers = [{ id: LIQUIDATION_RISK_ID, modelId: MODEL_ID, feeWei: FEE, source: LIQUIDATION_RISK_MODEL }];

interface ErrorAnswer {
  error: { message: string; type: string; code: string };
}

describe("LocalInferenceNode", () => {
  const options = nodeOptions({ nowSeconds: () => 1_770_000_000, bodyLimitBytes: 10_000 });
  const node = new LocalInferenceNode({ ...options, offers });
  before(() => node.start());
  after(async () => {
    await node.stop();
    options.store.close();
  });

  it("health_withoutToken_namesOperatorAndSigner", async () => {
    const response = await fetch(`${node.url}/health`);
    expect(await response.json()).to.deep.equal({
      status: "ok",
      operator: options.operator,
      signer: node.signer.address,
    });
  });

  it("models_listsWhatIsServed", async () => {
    const response = await fetch(`${node.url}/models`, { headers: headers() });
    expect(await response.json()).to.deep.equal({
      models: [
        {
          id: LIQUIDATION_RISK_ID,
          modelId: MODEL_ID,
          kind: "onnx",
          modes: [0],
          feeWei: FEE.toString(),
          payout: options.payout,
          operator: options.operator,
        },
      ],
    });
  });

  it("inference_paid_answersWithAReceiptThatChecks", async () => {
    const paid = payment();
    const text = JSON.stringify(BODY);
    const response = await post(node, PATH, text, paid);
    expect(response.status).to.equal(200);
    const answer = (await response.json()) as { outputs: { risk: number[][] } };
    expect(answer).to.include({ object: "inference", model: LIQUIDATION_RISK_ID });
    expect(answer.outputs.risk[0]?.[0]).to.be.within(0.01, 0.5);

    const signed = receiptOf(answer);
    expect(signed.receipt).to.deep.equal({
      requestId: requestIdForPayment(DOMAIN, options.operator, paid),
      modelId: MODEL_ID,
      mode: 0,
      inputHash: inputHash("inference", text),
      outputHash: inferenceOutputHash(answer.outputs),
      payer: PAYER,
      fee: FEE,
      servedAt: 1_770_000_000n,
    });
    expect(signerOf(signed)).to.equal(node.signer.address);
    expect(node.store.unbatched(1000).map(({ signature }) => signature)).to.include(signed.signature);
  });

  it("inference_sameAgain_givesTheStoredAnswer", async () => {
    const paid = payment();
    const before = node.store.unbatched(1000).length;
    const first = await (await post(node, PATH, BODY, paid)).text();
    const second = await (await post(node, PATH, BODY, paid)).text();
    expect(second).to.equal(first);
    expect(node.store.unbatched(1000)).to.have.length(before + 1);
  });

  it("inference_concurrentCopies_shareOneAnswer", async () => {
    const paid = payment();
    const before = node.store.unbatched(1000).length;
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => (await post(node, PATH, BODY, paid)).text()),
    );
    expect(new Set(answers).size).to.equal(1);
    expect(node.store.unbatched(1000)).to.have.length(before + 1);
  });

  it("inference_otherBodyForThePayment_conflicts", async () => {
    const paid = payment();
    await post(node, PATH, BODY, paid);
    const response = await post(node, PATH, { ...BODY, inputs: { positions: [[1, 1, 1, 1, 1, 1, 1, 1]] } }, paid);
    expect(response.status).to.equal(409);
    expect(((await response.json()) as ErrorAnswer).error.code).to.equal("request_id_reused");
  });

  it("inference_failed_leavesThePaymentUsable", async () => {
    const paid = payment();
    const failed = await post(node, PATH, { ...BODY, inputs: {} }, paid);
    expect(failed.status).to.equal(400);
    expect((await post(node, PATH, BODY, paid)).status).to.equal(200);
  });

  const refused: [what: string, status: number, code: string, send: () => Promise<Response>][] = [
    ["noToken", 401, "unauthorized", () => fetch(node.url + PATH, { method: "POST", body: "{}" })],
    [
      "wrongToken",
      401,
      "unauthorized",
      () => fetch(`${node.url}/models`, { headers: { authorization: "Bearer a token of another test" } }),
    ],
    [
      "noPayment",
      400,
      "invalid_payment_header",
      () => fetch(node.url + PATH, { method: "POST", headers: { ...headers(), "x-og-payment": "e30=" }, body: "{}" }),
    ],
    ["wrongAsset", 400, "wrong_asset", () => post(node, PATH, BODY, payment({ asset: PAYER }))],
    ["lowFee", 402, "fee_too_low", () => post(node, PATH, BODY, payment({ feeWei: FEE - 1n }))],
    ["notJson", 400, "invalid_json", () => post(node, PATH, "{")],
    ["repeatedMember", 400, "invalid_json", () => post(node, PATH, '{"model":"a","model":"b","inputs":{}}')],
    ["noInputs", 400, "invalid_request", () => post(node, PATH, { model: LIQUIDATION_RISK_ID })],
    ["stream", 400, "invalid_request", () => post(node, PATH, { ...BODY, stream: true })],
    ["wrongShape", 400, "invalid_model_input", () => post(node, PATH, { ...BODY, inputs: { positions: [[1]] } })],
    ["unknownModel", 404, "model_not_found", () => post(node, PATH, { ...BODY, model: "opengradient/other" })],
    ["otherRoute", 404, "not_found", () => post(node, "/v1/chat/completions", BODY)],
    ["tooLarge", 413, "request_too_large", () => post(node, PATH, " ".repeat(10_001))],
    [
      "notJsonMedia",
      415,
      "invalid_request",
      () =>
        fetch(node.url + PATH, { method: "POST", headers: { ...headers(), "content-type": "text/csv" }, body: "1" }),
    ],
  ];
  for (const [what, status, code, send] of refused) {
    it(`request_${what}_isRefused`, async () => {
      const before = node.store.unbatched(1000).length;
      const response = await send();
      const { error } = (await response.json()) as ErrorAnswer;
      expect({ status: response.status, code: error.code }).to.deep.equal({ status, code });
      expect(error.message).to.be.a("string").and.not.equal("");
      expect(node.store.unbatched(1000)).to.have.length(before);
    });
  }

  it("infer_withoutPayment_givesThePreimageOfTheOutputHash", async () => {
    const body = Buffer.from(JSON.stringify(BODY));
    const { output } = await node.infer("inference", body, MODEL_ID);
    const paid = (await (await post(node, PATH, BODY)).json()) as { outputs: unknown };
    expect(await rejection(node.infer("inference", body, `0x${"00".repeat(32)}`))).to.have.property(
      "code",
      "wrong_model",
    );
    expect(await rejection(node.infer("chat", body, MODEL_ID))).to.have.property("code", "not_found");
    expect(JSON.parse(output)).to.deep.equal(paid.outputs);
  });

  it("addresses_withChecksumCase_areTheSame", async () => {
    const own = nodeOptions({ asset: `0x${"A5".repeat(20)}`, operator: `0x${"0B".repeat(20)}` });
    const other = new LocalInferenceNode({ ...own, offers });
    await other.start();
    expect((await post(other, PATH, BODY)).status).to.equal(200);
    expect(other.operator).to.equal(options.operator);
    await other.stop();
    own.store.close();
  });

  it("restart_keepsPortAndAnswers", async () => {
    const paid = payment();
    const { url } = node;
    const first = await (await post(node, PATH, BODY, paid)).text();
    await node.stop();
    await node.start();
    expect(node.url).to.equal(url);
    expect(await (await post(node, PATH, BODY, paid)).text()).to.equal(first);
  });
});
