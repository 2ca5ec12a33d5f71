import { expect } from "chai";

import { createVerifyingFetch } from "../../../simulator/client/createVerifyingFetch.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { Mode } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { FEE } from "../gateway/gatewayFixture.ts";
import { BEARER, MODEL_ID, nodeOptions } from "../nodes/nodeFixture.ts";
import { ClientFixture } from "./clientFixture.ts";
import { startEnclave } from "./registeredEnclave.ts";

/** Numbers as no JavaScript writes them: the statement is over them as they stand. */
const BODY = `{"model":"${LIQUIDATION_RISK_ID}","inputs":{"positions":[[0.60, 8e-1, 0.9, 0.01, -0.1, 0.05, 4.0, 30]]}}`;

describe("createVerifyingFetch, tensors of an enclave", () => {
  let fixture: ClientFixture;
  let enclave: Enclave;
  let node: LocalInferenceNode;
  let url: string;

  before(async () => {
    fixture = await ClientFixture.start();
    enclave = await startEnclave();
    const { chain, domain, operator, payout } = fixture.world;
    node = new LocalInferenceNode({
      ...nodeOptions({ enclave, domain, operator, payout, asset: chain.asset }),
      offers: [{ id: LIQUIDATION_RISK_ID, modelId: MODEL_ID, feeWei: FEE, source: LIQUIDATION_RISK_MODEL }],
    });
    await node.start();
    url = (await fixture.world.openGateway({ nodes: [{ url: node.url, token: BEARER }] })).url;
  });
  after(async () => {
    await fixture.stop();
    await node.stop();
    node.store.close();
  });

  const ask = (change: (text: string) => string = (text) => text): Promise<Response> => {
    const verifying = createVerifyingFetch({
      ...fixture.options(),
      signers: {
        operatorOf: (key, mode) =>
          Promise.resolve(key === enclave.signer.address && mode === Mode.Tee ? fixture.world.operator : undefined),
      },
      tee: { teeId: enclave.teeId, signingKey: enclave.publicKeyDer },
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        const { status, headers } = response;
        return status === 200 ? new Response(change(await response.text()), { status, headers }) : response;
      },
    });
    const headers = { "content-type": "application/json" };
    return verifying(`${url}/v1/inference`, { method: "POST", headers, body: BODY });
  };

  it("answer_ofTheEnclave_isHandedOn", async () => {
    const answer = (await (await ask()).json()) as { outputs: { risk: number[][] } };
    expect(answer.outputs.risk[0]?.[0]).to.be.within(0.01, 0.5);
    expect(fixture.receipts.at(-1)?.signed.receipt.mode).to.equal(Mode.Tee);
  });

  it("answer_withAZeroMoreBehindANumber_isTheSame", async () => {
    const padded = (text: string): string => text.replace(/"risk":\[\[0\.\d+/, (number) => `${number}0`);
    expect((await ask(padded)).status).to.equal(200);
  });

  const lies: [what: string, change: (text: string) => string, code: string][] = [
    ["otherOutputs", (text) => text.replace('"risk":[[0.', '"risk":[[1.'), "output_mismatch"],
    ["requestHashOfTheReceipt", rehashed, "tee_hash_mismatch"],
    ["outputsTwice", (text) => text.replace('"outputs":', '"outputs":{},"outputs":'), "unreadable_answer"],
  ];
  for (const [what, change, code] of lies) {
    it(`answer_${what}_isRefused`, async () => {
      expect(await rejection(ask(change))).to.have.property("code", code);
    });
  }
});

/** The answer with the receipt's input hash, which is over RFC 8785, in the place of the statement's. */
function rehashed(text: string): string {
  const answer = JSON.parse(text) as { opengradient: { receipt: { inputHash: string } } };
  return JSON.stringify({ ...answer, tee_request_hash: answer.opengradient.receipt.inputHash.slice(2) });
}
