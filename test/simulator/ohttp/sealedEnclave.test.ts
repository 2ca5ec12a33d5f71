import { expect } from "chai";
import type { EnclaveFetch } from "../../../simulator/client/EnclaveFetch.ts";
import { SealingError } from "../../../simulator/client/ClientError.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { enclaveRoutes } from "../../../simulator/enclave/enclaveRoutes.ts";
import { sealingKeyOfEnclave } from "../../../simulator/nodes/SealedRequests.ts";
import { blindedHash } from "../../../simulator/ohttp/blindedHash.ts";
import { inputHash } from "../../../simulator/receipts/hashes.ts";
import { Mode } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { EnclaveFixture } from "../client/enclaveFixture.ts";
import { chat, MODEL } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../gateway/ScriptedNode.ts";
import { RecordingProxy } from "./RecordingProxy.ts";

describe("sealed requests to registered enclaves", () => {
  let fixture: EnclaveFixture;
  let enclaves: Enclave[];
  let nodes: ScriptedNode[];
  /** Between the gateways and the enclaves' nodes: inside of TLS, outside of the seal. */
  let inside: RecordingProxy[];
  let client: EnclaveFetch;

  before(async function () {
    this.timeout(120_000);
    fixture = await EnclaveFixture.start();
    enclaves = [await fixture.startEnclave("first"), await fixture.startEnclave("second")];
    nodes = enclaves.map((enclave) =>
      fixture.world.newNode({ enclave, signer: enclave.signer, sealing: sealingKeyOfEnclave(enclave) }),
    );
    await Promise.all(nodes.map((node) => node.start()));
    inside = nodes.map((node) => new RecordingProxy(() => Number(new URL(node.url).port)));
    await Promise.all(inside.map((proxy) => proxy.start()));
    // each gateway may ask either node, as those of one operator do
    for (const enclave of enclaves) {
      const gateway = await fixture.world.openGateway({
        nodes: inside.map(({ url }) => ({ url, token: NODE_TOKEN })),
        tls: enclave.tls,
        plugins: [enclaveRoutes(enclave)],
      });
      await fixture.register(enclave, gateway.url);
    }
    client = fixture.client("any", { sealed: true });
  });

  after(async () => {
    await fixture.stop();
    await Promise.all([...inside, ...nodes].map((actor) => actor.stop()));
  });

  beforeEach(() => {
    fixture.receipts.length = 0;
    for (const proxy of inside) proxy.forget();
  });

  const seen = (text: string): boolean => inside.some((proxy) => proxy.seen.includes(text));

  it("stockClient_wholeAndStreamed_isSealedToTheAttestedKey", async () => {
    const openai = fixture.openai(client);
    const messages = [{ role: "user" as const, content: "quokka zyzzyva" }];
    const answer = await openai.chat.completions.create({ model: MODEL, messages });
    let text = "";
    for await (const chunk of await openai.chat.completions.create({ model: MODEL, messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect([answer.choices[0]?.message.content, text]).to.deep.equal(["quokka zyzzyva", "quokka zyzzyva"]);
    expect(fixture.receipts.map(({ signed }) => signed.receipt.mode)).to.deep.equal([Mode.Tee, Mode.Tee]);
    expect(seen("message/ohttp-req")).to.be.true;
    expect(seen("quokka") || seen("zyzzyva")).to.be.false;
  });

  it("enclavesOwnFields_areSealed_andStateThePlainHashes", async () => {
    const body = chat("between us");
    const response = await client.fetch(`${client.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { tee_request_hash: string };
    const plain = inputHash("chat", JSON.stringify(body));
    expect(`0x${answer.tee_request_hash}`).to.equal(plain);
    expect(seen(answer.tee_request_hash)).to.be.false;
    const { signed, salt } = fixture.receipts[0]!;
    expect(signed.receipt.inputHash).to.equal(blindedHash(salt!, "input", plain));
  });

  it("requestThatCannotBeSealed_isNotSent", async () => {
    expect(
      await rejection(client.fetch(`${client.baseUrl}/embeddings`, { method: "POST", body: "quokka" })),
    ).to.be.instanceOf(SealingError);
  });
});
