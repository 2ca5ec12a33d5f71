import { expect } from "chai";
import type { VerificationError } from "../../../simulator/client/ClientError.ts";
import { blindedHash } from "../../../simulator/ohttp/blindedHash.ts";
import { chatOutputHash, inputHash } from "../../../simulator/receipts/hashes.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { chat, errorCode } from "../gateway/gatewayFixture.ts";
import { ClientFixture, tampering, type LooseAnswer } from "./clientFixture.ts";

const PRIVATE = { "x-settlement-type": "private" };

describe("private settlement", () => {
  let fixture: ClientFixture;

  before(async () => {
    fixture = await ClientFixture.start();
  });

  after(() => fixture.stop());

  beforeEach(() => {
    fixture.receipts.length = 0;
  });

  const ask = (
    body: object,
    headers: Record<string, string>,
    tamper?: (answer: LooseAnswer) => object | undefined,
  ): Promise<Response> =>
    fixture.fetch(tamper === undefined ? {} : { fetch: tampering(tamper) })(
      `${fixture.gateway.url}/v1/chat/completions`,
      {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      },
    );

  const refusal = async (work: Promise<unknown>): Promise<string> =>
    ((await rejection(work)) as VerificationError).code;

  for (const stream of [false, true]) {
    it(`${stream ? "stream" : "answer"}_private_saysNothingThatCouldBeGuessedInItsReceipt`, async () => {
      const body = chat("yes", { stream });
      const response = await ask(body, PRIVATE);
      expect(response.status).to.equal(200);
      await response.text();
      const { signed, salt, requestId } = fixture.receipts[0]!;
      const [input, output] = [inputHash("chat", JSON.stringify(body)), chatOutputHash({ content: "yes" })];
      expect(salt).to.match(/^0x[0-9a-f]{64}$/);
      expect(signed.receipt.inputHash)
        .to.equal(blindedHash(salt!, "input", input))
        .and.not.equal(input);
      expect(signed.receipt.outputHash)
        .to.equal(blindedHash(salt!, "output", output))
        .and.not.equal(output);
      // what the node settles, and so publishes, is this receipt, without its salt
      expect(fixture.node.store.find(requestId)!.receipt).to.deep.equal(signed);
    });
  }

  it("oldNames_areUnderstood", async () => {
    await ask(chat("old"), { "x-settle": "PRIVATE" });
    expect(fixture.receipts[0]!.salt).to.be.a("string");
    await ask(chat("batch"), { "x-settle": "SETTLE_BATCH" });
    expect(fixture.receipts[1]!.salt).to.equal(undefined);
  });

  it("twoPrivateAnswersToTheSame_lookDifferent", async () => {
    await ask(chat("same"), PRIVATE);
    await ask(chat("same"), PRIVATE);
    const [first, second] = fixture.receipts.map(({ signed }) => signed.receipt);
    expect(first!.inputHash).to.not.equal(second!.inputHash);
    expect(first!.outputHash).to.not.equal(second!.outputHash);
  });

  it("samePaymentAgain_getsTheSameSalt", async () => {
    const payment = await fixture.world.pay(fixture.gateway, chat("again"));
    const request = (): Promise<Response> =>
      fetch(`${fixture.gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "payment-signature": payment, ...PRIVATE },
        body: JSON.stringify(chat("again")),
      });
    const saltOf = async (response: Response): Promise<unknown> =>
      ((await response.json()) as { opengradient: { salt: Hex } }).opengradient.salt;
    const salt = await saltOf(await request());
    expect(salt).to.be.a("string");
    expect(await saltOf(await request())).to.equal(salt);
  });

  it("askedForPrivacy_receiptUnblinded_isRefused", async () => {
    const leak = (answer: LooseAnswer): object | undefined => {
      if (answer.opengradient === undefined) return undefined;
      return { ...answer, opengradient: { ...answer.opengradient, salt: undefined } };
    };
    expect(await refusal(ask(chat("x"), PRIVATE, leak))).to.equal("missing_receipt");
  });

  it("askedForPrivacy_otherSalt_isRefused", async () => {
    const lie = (answer: LooseAnswer): object | undefined =>
      answer.opengradient && { ...answer, opengradient: { ...answer.opengradient, salt: `0x${"11".repeat(32)}` } };
    expect(await refusal(ask(chat("x"), PRIVATE, lie))).to.equal("input_mismatch");
  });

  it("notAskedFor_blindedReceipt_isRefused", async () => {
    // a node that would rather have nobody check what it publishes
    const salt: Hex = `0x${"11".repeat(32)}`;
    const body = chat("x");
    const lie = (answer: LooseAnswer): object | undefined => {
      const proof = answer.opengradient!;
      const blinded = blindedHash(salt, "input", inputHash("chat", JSON.stringify(body)));
      return {
        ...answer,
        opengradient: { ...proof, receipt: fixture.resign(proof.receipt, { inputHash: blinded }), salt },
      };
    };
    expect(await refusal(ask(body, {}, lie))).to.equal("input_mismatch");
  });

  it("notAskedFor_saltOfTheServers_isNotTaken", async () => {
    const salt: Hex = `0x${"11".repeat(32)}`;
    const lie = (answer: LooseAnswer): object | undefined =>
      answer.opengradient && { ...answer, opengradient: { ...answer.opengradient, salt } };
    expect((await ask(chat("x"), {}, lie)).status).to.equal(200);
    expect(fixture.receipts[0]!.salt).to.equal(undefined);
  });

  it("unknownType_isRefusedBeforeItIsPaidFor", async () => {
    const { inferences } = fixture.node;
    const response = await ask(chat("x"), { "x-settlement-type": "secret" });
    expect(response.status).to.equal(400);
    expect(await errorCode(response)).to.equal("invalid_settlement_type");
    expect(fixture.node.inferences).to.equal(inferences);
  });
});
