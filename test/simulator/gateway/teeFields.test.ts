import { expect } from "chai";

import { StreamedOutput } from "../../../simulator/client/readAnswer.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import type { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { checkTeeAnswer, checkTeeFields } from "../../../simulator/receipts/checkTeeFields.ts";
import { teeRequestHash } from "../../../simulator/receipts/teeReceipt.ts";
import { startEnclave } from "../client/registeredEnclave.ts";
import { chat, GatewayFixture, post } from "./gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "./ScriptedNode.ts";

describe("Gateway before a node in an enclave", () => {
  let world: GatewayFixture;
  let enclave: Enclave;
  let node: ScriptedNode;
  let gateway: Gateway;

  before(async () => {
    world = await GatewayFixture.start();
    enclave = await startEnclave();
    node = world.newNode({ enclave });
    await node.start();
    gateway = await world.openGateway({ nodes: [{ url: node.url, token: NODE_TOKEN }] });
  });
  after(async () => {
    await world.stop();
    await node.stop();
  });

  /** What the gateway passes on, and what the node has stored. */
  const bought = async (body: object): Promise<{ text: string; stored: string }> => {
    const payment = await world.pay(gateway, body);
    const response = await post(gateway, body, { payment });
    expect(response.status).to.equal(200);
    const text = await response.text();
    const { requestId } = node.store.unbatched(100).at(-1)!.receipt;
    return { text, stored: node.store.find(requestId)!.content };
  };

  it("chat_isPassedOnByteForByte_withItsTeeFields", async () => {
    const body = chat("Grüße 🌍");
    const { text, stored } = await bought(body);
    expect(text).to.equal(stored);
    checkTeeAnswer("chat", JSON.stringify(body), text, enclave);
  });

  it("chatStream_isPassedOnByteForByte_withTeeFieldsInItsLastChunk", async () => {
    const body = chat("Grüße an alle 🌍", { stream: true });
    const { text, stored } = await bought(body);
    expect(text).to.equal(stored);
    const events = text.trimEnd().split("\n\n");
    expect(events.pop()).to.equal("data: [DONE]");
    const chunks = events.map((event) => JSON.parse(event.slice(6)) as Record<string, unknown>);
    const output = new StreamedOutput("chat");
    for (const chunk of chunks) output.add(chunk);
    const requestHash = teeRequestHash("chat", JSON.stringify(body));
    checkTeeFields(chunks.at(-1), { requestHash, outputHash: output.hash() }, enclave);
    for (const chunk of chunks.slice(0, -1)) expect(chunk).to.not.have.property("tee_signature");
  });
});
