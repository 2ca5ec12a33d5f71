import { expect } from "chai";
import type { Gateway } from "../../../simulator/gateway/Gateway.ts";
import type { ReceiptPlace } from "../../../simulator/nodes/ReceiptPlaces.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { BatchPlace } from "../../../simulator/settlement/ReceiptSource.ts";
import { blobIdToBase64Url } from "../../../simulator/storage/BlobStore.ts";
import { OpenApiChecker, type OpenApiDocument } from "../http/openApiDocument.ts";
import { chat, errorCode, GatewayFixture, post, type PostOptions } from "./gatewayFixture.ts";

const word = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`;
const BATCH = word(77);
const BLOB = word(88);
const TRANSACTION = word(99);
const ON_CHAIN = { "x-settlement-tx-hash": TRANSACTION, "x-settlement-walrus-blob-id": blobIdToBase64Url(BLOB) };
const NOT_YET = { "x-settlement-tx-hash": null, "x-settlement-walrus-blob-id": null };

describe("Gateway: where receipts are settled", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;
  let asked = 0;

  before(async () => {
    fixture = await GatewayFixture.start();
    gateway = await fixture.openGateway();
  });

  after(() => fixture.stop());

  interface Bought {
    requestId: Hex;
    again: (headers?: Record<string, string>) => Promise<Response>;
    first: Response;
  }

  async function buy(headers: Record<string, string> = {}, more: object = {}): Promise<Bought> {
    const body = chat(`question ${asked++}`, more);
    const payment = await fixture.pay(gateway, body);
    const options: PostOptions = { payment, headers };
    const first = await post(gateway, body, options);
    expect(first.status).to.equal(200);
    await first.text();
    const again = (others = {}): Promise<Response> =>
      post(gateway, body, { payment, headers: { ...headers, ...others } });
    return { requestId: first.headers.get("x-processing-hash") as Hex, again, first };
  }

  const batch = (requestId: Hex): void => fixture.node.store.markBatched([requestId], BATCH);
  const place = (state: BatchPlace["state"], transaction: Hex | undefined = TRANSACTION): void =>
    fixture.node.store.markPlaced({ batchId: BATCH, state, blobId: BLOB, transaction });
  const settlementOf = ({ headers }: Response): object =>
    Object.fromEntries(Object.keys(NOT_YET).map((name) => [name, headers.get(name)]));
  const status = (requestId: string): Promise<Response> => fetch(`${gateway.url}/v1/settlements/${requestId}`);

  it("firstAnswer_saysNothingThatIsNotKnownYet", async () => {
    const { first, again, requestId } = await buy();
    expect(settlementOf(first)).to.deep.equal(NOT_YET);
    expect(settlementOf(await again())).to.deep.equal(NOT_YET);
    batch(requestId);
    expect(settlementOf(await again()), "batched is not on chain").to.deep.equal(NOT_YET);
  });

  for (const stream of [false, true]) {
    it(`sameRequestOnceItsBatchIsOnChain_${stream ? "streamed" : "whole"}_saysWhere`, async () => {
      const { again, requestId } = await buy({}, { stream });
      batch(requestId);
      place("posted");
      expect(settlementOf(await again())).to.deep.equal(ON_CHAIN);
      place("final");
      expect(settlementOf(await again())).to.deep.equal(ON_CHAIN);
    });
  }

  it("batchProvenWrong_isNotNamedAsItsSettlement", async () => {
    const { again, requestId } = await buy();
    batch(requestId);
    place("rejected");
    expect(settlementOf(await again())).to.deep.equal(NOT_YET);
    expect(await (await status(requestId)).json()).to.include({ state: "rejected", transaction: TRANSACTION });
  });

  it("preferWait_holdsTheAnswerUntilItsBatchIsOnChain", async () => {
    const body = chat("patience");
    const payment = await fixture.pay(gateway, body);
    const answered = post(gateway, body, {
      payment,
      headers: { prefer: "respond-async, wait=30", "x-settlement-type": "individual" },
    });
    // what a settler does meanwhile
    const { store } = fixture.node;
    let requestId: Hex | undefined;
    while (requestId === undefined) {
      requestId = store.individual(1)[0]?.receipt.requestId;
      await new Promise(setImmediate);
    }
    batch(requestId);
    place("posted");
    const response = await answered;
    expect(response.headers.get("x-processing-hash")).to.equal(requestId);
    expect(settlementOf(response)).to.deep.equal(ON_CHAIN);
  });

  it("preferWait_thatIsTooShort_answersWithoutIt", async () => {
    const { again } = await buy();
    const before = performance.now();
    const response = await again({ prefer: "wait=1" });
    expect(settlementOf(response)).to.deep.equal(NOT_YET);
    expect(performance.now() - before).to.be.within(800, 5_000);
  });

  describe("GET /v1/settlements/:requestId", () => {
    it("requestOnItsWay_tellsHowFarItIs", async () => {
      const document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as OpenApiDocument;
      const checker = new OpenApiChecker(document);
      const { requestId } = await buy();
      const found = async (): Promise<unknown> => {
        const response = await status(requestId);
        expect(response.status).to.equal(200);
        const json: unknown = await response.json();
        checker.expectAnswer("get /v1/settlements/{requestId}", 200, json);
        return json;
      };
      expect(await found()).to.deep.equal({ requestId, state: "waiting" });
      fixture.node.store.markBatched([requestId], word(78));
      expect(await found()).to.deep.equal({ requestId, state: "batched", batchId: word(78) });
      const known = { batchId: word(78), blobId: BLOB };
      const shown = { requestId, batchId: word(78), walrusBlobId: blobIdToBase64Url(BLOB) };
      fixture.node.store.markPlaced({ ...known, state: "posted", transaction: undefined });
      expect(await found()).to.deep.equal({ ...shown, state: "posted", transaction: null });
      fixture.node.store.markPlaced({ ...known, state: "final", transaction: TRANSACTION });
      expect(await found()).to.deep.equal({ ...shown, state: "final", transaction: TRANSACTION });
      expect(await (await status(requestId.toUpperCase().replace("0X", "0x"))).json()).to.include({ state: "final" });
    });

    it("requestNobodyAsked_is404_andCountsAsRefused", async () => {
      const strict = await fixture.openGateway({ limits: { refusalsPerMinute: 3 } });
      const codes: string[] = [];
      for (let i = 0; i < 5; i++) {
        const response = await fetch(`${strict.url}/v1/settlements/${word(1_000 + i)}`);
        codes.push(`${response.status} ${await errorCode(response)}`);
      }
      expect(codes.slice(0, 3)).to.deep.equal(Array(3).fill("404 unknown_request"));
      expect(codes.slice(3)).to.deep.equal(Array(2).fill("429 rate_limit_exceeded"));
    });

    it("whatIsNoRequestId_is400", async () => {
      for (const id of ["1", "0x12", "%00", `${word(1)}0`]) {
        const response = await status(id);
        expect(response.status, id).to.equal(400);
        expect(await errorCode(response)).to.equal("invalid_request_id");
      }
    });
  });

  it("nodeThatIsAway_holdsNoAnswerUp_andIsNotTakenForIgnorance", async () => {
    const node = fixture.newNode({ model: "test/away" });
    await node.start();
    const own = await fixture.openGateway({ nodes: [{ url: node.url, token: "operator-secret" }] });
    const body = { ...chat("away"), model: "test/away" };
    const payment = await fixture.pay(own, body);
    const first = await post(own, body, { payment });
    const requestId = first.headers.get("x-processing-hash")!;
    await node.stop();
    const again = await post(own, body, { payment, headers: {} });
    expect(again.status, "it is stored here").to.equal(200);
    expect(settlementOf(again)).to.deep.equal(NOT_YET);
    const response = await fetch(`${own.url}/v1/settlements/${requestId}`);
    expect(response.status).to.equal(503);
    expect(await errorCode(response)).to.equal("node_unreachable");
  });

  it("placesInANodesStore_areReadAsTheyWereWritten", async () => {
    const { requestId } = await buy();
    batch(requestId);
    place("posted");
    const expected: ReceiptPlace = { state: "posted", batchId: BATCH, blobId: BLOB, transaction: TRANSACTION };
    expect(fixture.node.placeOf(requestId)).to.deep.equal(expected);
    const response = await fetch(`${fixture.node.url}/settlements/${requestId}`);
    expect(response.status, "the node's own API is for its operator").to.equal(401);
  });
});
