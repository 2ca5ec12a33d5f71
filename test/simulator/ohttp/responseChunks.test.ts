import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { expect } from "chai";
import { randomBytes } from "node:crypto";
import { FrameSplitter, MAX_CHUNK_BYTES } from "../../../simulator/ohttp/FrameSplitter.ts";
import { generateSealingKey } from "../../../simulator/ohttp/keyConfig.ts";
import { ChunkSealer, openResponseChunks, sealResponseChunks } from "../../../simulator/ohttp/responseChunks.ts";
import type { SharedSecrets } from "../../../simulator/ohttp/sealedRequest.ts";
import { openResponse } from "../../../simulator/ohttp/sealedResponse.ts";
import { CHACHA20_POLY1305, referenceAnswerKey } from "./referenceHpke.ts";
import { codeOf, collect, exchange, flipped, piecesOf } from "./sealing.ts";

const WORDS = ["The ", "quick ", "brown ", "fox"];

describe("chunked answers", () => {
  let client: SharedSecrets;
  let server: SharedSecrets;

  before(async () => {
    ({ client, server } = await exchange(await generateSealingKey()));
  });

  const sealed = (words = WORDS): Promise<Buffer> =>
    collect(sealResponseChunks(server, piecesOf(Buffer.from(words.join("")), 5)));

  /** Nonce, then each frame's bytes. */
  function cut(bytes: Buffer): { nonce: Buffer; frames: Buffer[] } {
    const splitter = new FrameSplitter();
    const frames = splitter.push(bytes).map(({ raw }) => raw);
    frames.push(splitter.end().raw);
    return { nonce: bytes.subarray(0, 32), frames: [frames[0]!.subarray(32), ...frames.slice(1)] };
  }

  const open = async (bytes: Uint8Array, size?: number): Promise<string> =>
    (await collect(openResponseChunks(client, piecesOf(bytes, size)))).toString();

  it("stream_isOpenedHoweverTheNetworkSplitsIt", async () => {
    const bytes = await sealed();
    for (let size = 1; size <= bytes.length; size++) expect(await open(bytes, size)).to.equal(WORDS.join(""));
  });

  it("chunks_areThoseOfTheDraft", async () => {
    const sealer = new ChunkSealer(server);
    const bytes = Buffer.concat([sealer.seal(Buffer.from("one")), sealer.seal(Buffer.from("two")), sealer.end()]);
    const random = bytes.subarray(0, 32);
    const { key, nonce } = referenceAnswerKey(CHACHA20_POLY1305, server.chunkedResponse, server.enc, random);
    const aead = new Chacha20Poly1305().createEncryptionContext(key.buffer.slice(key.byteOffset, key.byteOffset + 32));
    const seal = async (count: number, text: string, additional = ""): Promise<Buffer> => {
      const iv = Buffer.from(nonce);
      iv[11]! ^= count;
      const [data, aad] = [Buffer.from(text), Buffer.from(additional)].map((each) => new Uint8Array(each).buffer);
      return Buffer.from(await aead.seal(new Uint8Array(iv).buffer, data!, aad!));
    };
    const expected = [
      random,
      Buffer.from([19]),
      await seal(0, "one"),
      Buffer.from([19]),
      await seal(1, "two"),
      Buffer.from([0]),
      await seal(2, "", "final"),
    ];
    expect(bytes.equals(Buffer.concat(expected))).to.be.true;
  });

  it("longPieces_areSplitAndPutTogether", async () => {
    for (const length of [0, 63 - 16, 64 - 16, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1, 5 * MAX_CHUNK_BYTES + 7]) {
      const text = randomBytes(length);
      const sealer = new ChunkSealer(server);
      const inTheMiddle = Buffer.concat([sealer.seal(text), sealer.end()]);
      const atTheEnd = new ChunkSealer(server).end(text);
      for (const bytes of [inTheMiddle, atTheEnd]) {
        const opened = await collect(openResponseChunks(client, piecesOf(bytes, 1000)));
        expect(opened.equals(text), `${length} bytes`).to.be.true;
      }
    }
  });

  it("count_goesOnBeyondOneByte", async () => {
    const sealer = new ChunkSealer(server);
    const frames = Array.from({ length: 600 }, (_, i) => sealer.seal(Buffer.from([i & 0xff])));
    const opened = await collect(openResponseChunks(client, piecesOf(Buffer.concat([...frames, sealer.end()]), 1000)));
    expect(opened).to.have.length(600);
    expect(opened[599]).to.equal(599 & 0xff);
  });

  it("everyTruncation_isRefused", async () => {
    const bytes = await sealed();
    for (let length = 0; length < bytes.length; length++) {
      const code = await codeOf(() => open(bytes.subarray(0, length)));
      expect(code, `${length} bytes`).to.be.oneOf(["truncated_response", "cannot_open"]);
    }
  });

  it("cutAtAFrame_yieldsWhatIsGenuineAndThenRefuses", async () => {
    const { nonce, frames } = cut(await sealed());
    const seen: string[] = [];
    const code = await codeOf(async () => {
      const pieces = piecesOf(Buffer.concat([nonce, frames[0]!, frames[1]!]));
      for await (const piece of openResponseChunks(client, pieces)) seen.push(piece.toString());
    });
    expect(seen.join("")).to.equal("The quick ".slice(0, 10));
    expect(code).to.equal("truncated_response");
  });

  it("lastFrameMadeOfAnother_isRefused", async () => {
    const { nonce, frames } = cut(await sealed());
    const asLast = Buffer.concat([Buffer.from([0]), frames[2]!.subarray(1)]);
    expect(await codeOf(() => open(Buffer.concat([nonce, frames[0]!, frames[1]!, asLast])))).to.equal("cannot_open");
  });

  it("lastFrameMadeAnInnerOne_isRefused", async () => {
    const { nonce, frames } = cut(await sealed());
    const last = frames.at(-1)!.subarray(1);
    const asInner = Buffer.concat([Buffer.from([last.length]), last]);
    expect(await codeOf(() => open(Buffer.concat([nonce, ...frames.slice(0, -1), asInner])))).to.equal("cannot_open");
  });

  it("framesSwappedRepeatedOrLeftOut_areRefused", async () => {
    const { nonce, frames } = cut(await sealed());
    const [a, b, ...rest] = frames as [Buffer, Buffer, ...Buffer[]];
    for (const order of [
      [b, a, ...rest],
      [a, a, b, ...rest],
      [a, ...rest],
      [b, ...rest],
    ]) {
      expect(await codeOf(() => open(Buffer.concat([nonce, ...order])))).to.equal("cannot_open");
    }
  });

  it("frameOfAnotherAnswerToTheSameRequest_isRefused", async () => {
    const [mine, other] = [cut(await sealed()), cut(await sealed())];
    const spliced = Buffer.concat([mine.nonce, mine.frames[0]!, other.frames[1]!, ...mine.frames.slice(2)]);
    expect(await codeOf(() => open(spliced))).to.equal("cannot_open");
  });

  it("anyBitChanged_isRefused", async () => {
    const bytes = await sealed();
    for (let at = 0; at < bytes.length; at++) {
      const code = await codeOf(() => open(flipped(bytes, at)));
      expect(code, `byte ${at}`).to.be.oneOf(["cannot_open", "malformed_response", "truncated_response"]);
    }
  });

  it("lengthBeyondTheBound_isRefusedBeforeItIsWaitedFor", async () => {
    const nonce = randomBytes(32);
    for (const length of ["bfffffff", "c000000000000001", "80004011"]) {
      const bytes = Buffer.concat([nonce, Buffer.from(length, "hex")]);
      expect(await codeOf(() => open(bytes)), length).to.equal("malformed_response");
    }
    const endless = Buffer.concat([nonce, Buffer.from([0]), Buffer.alloc(MAX_CHUNK_BYTES + 17)]);
    expect(await codeOf(() => open(endless))).to.equal("malformed_response");
  });

  it("chunkedAnswer_isNoWholeOne", async () => {
    const bytes = await sealed();
    expect(await codeOf(() => openResponse(client, bytes))).to.equal("cannot_open");
  });
});
