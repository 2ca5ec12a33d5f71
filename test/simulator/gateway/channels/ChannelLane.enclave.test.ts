import { expect } from "chai";

import { checkTeeAnswer, checkTeeFields } from "../../../../simulator/receipts/checkTeeFields.ts";
import { chatOutputHash, inputHash } from "../../../../simulator/receipts/hashes.ts";
import { startEnclave } from "../../client/registeredEnclave.ts";
import { chatBody, LaneFixture } from "./laneFixture.ts";

describe("ChannelLane before an enclave", () => {
  const fixture = new LaneFixture();
  before(async () => {
    fixture.enclave = await startEnclave();
    await fixture.start();
  });
  after(() => fixture.stop());
  beforeEach(() => fixture.answer("Hello"));

  const ask = async (merkle: boolean, body: string): Promise<string> => {
    const response = await fixture.post(fixture.payer().pay(), body, merkle ? { "x-tee-signature": "merkle" } : {});
    expect(response.status).to.equal(200);
    return response.text();
  };

  it("plain_isTheDefault_asOpenGradientsClientsExpect", async () => {
    const text = await ask(false, chatBody());
    expect(text).to.not.include("tee_merkle");
    checkTeeAnswer("chat", chatBody(), text, fixture.enclave!);
  });

  it("merkle_whereTheClientTakesIt_provesEveryAnswer", async () => {
    const bodies = Array.from({ length: 12 }, (_, n) => chatBody(`${n}`));
    const texts = await Promise.all(bodies.map((body) => ask(true, body)));
    const signatures = new Set<unknown>();
    texts.forEach((text, n) => {
      const answer = JSON.parse(text) as { tee_merkle: { count: number }; tee_signature: string };
      expect(answer.tee_merkle.count).to.be.at.least(1);
      signatures.add(answer.tee_signature);
      checkTeeAnswer("chat", bodies[n]!, text, fixture.enclave!);
    });
    expect(signatures.size).to.be.below(texts.length);
  });

  it("stream_lastChunkCarriesTheSignatureBesideTheReason", async () => {
    const chunk = (delta: object, reason: string | null) =>
      `data: ${JSON.stringify({ id: "up", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
    const usage = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 7 } })}\n\n`;
    fixture.upstream.answer = {
      status: 200,
      type: "text/event-stream",
      pieces: [
        chunk({ content: "Hel" }, null),
        chunk({ content: "lo" }, null),
        chunk({}, "stop"),
        usage,
        "data: [DONE]\n\n",
      ],
    };
    const body = chatBody("Hi", { stream: true });
    const events = (await ask(false, body)).trimEnd().split("\n\n");
    const last = JSON.parse(events.at(-3)!.slice("data: ".length)) as {
      choices: { finish_reason: string }[];
      usage: object;
    };
    expect(last.choices[0]?.finish_reason).to.equal("stop");
    expect(last.usage).to.deep.include({ completion_tokens: 7 });
    const { teeId, publicKeyDer } = fixture.enclave!;
    const expected = { requestHash: inputHash("chat", body), outputHash: chatOutputHash({ content: "Hello" }) };
    expect(checkTeeFields(last, expected, { teeId, publicKeyDer })).to.deep.include(expected);
  });
});
