import { expect } from "chai";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { generateSealingKey, parseKeyConfig, sealingKeyOf } from "../../../simulator/ohttp/keyConfig.ts";
import { openRequest, sealRequest } from "../../../simulator/ohttp/sealedRequest.ts";
import { openResponse, sealResponse } from "../../../simulator/ohttp/sealedResponse.ts";
import { kem } from "../../../simulator/ohttp/suite.ts";
import {
  AES_128_GCM,
  CHACHA20_POLY1305,
  privateKeyOf,
  publicKeyOf,
  rawPublicKey,
  referenceAnswerKey,
  referenceContext,
  referenceHeader,
  referenceOpen,
  referenceSeal,
} from "./referenceHpke.ts";
import { codeOf, exchange, flipped } from "./sealing.ts";

const hex = (text: string): Buffer => Buffer.from(text, "hex");

describe("sealed requests", () => {
  it("referenceHpke_agreesWithTheVectorOfRfc9458", () => {
    // appendix A
    const ephemeral = privateKeyOf(hex("bc51d5e930bda26589890ac7032f70ad12e4ecb37abb1b65b1256c9c48999c73"));
    const recipientKey = privateKeyOf(hex("3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a"));
    const config = hex("01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003");
    const recipient = Buffer.from(parseKeyConfig(config).publicKey);
    const enc = rawPublicKey(ephemeral);
    const { header, info } = referenceHeader(1, AES_128_GCM);
    const sender = referenceContext(
      AES_128_GCM,
      { own: ephemeral, other: publicKeyOf(recipient), enc, recipient },
      info,
    );
    const request = hex("00034745540568747470730b6578616d706c652e636f6d012f");
    const sealed = Buffer.concat([header, enc, sender.seal(request)]).toString("hex");
    expect(sealed).to.equal(
      "010020000100014b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad19dec96c208b4726374e469135906992e1268c594d2a10c695d858c40a026e7965e7d86b83dd440b2c0185204b4d63525",
    );
    const receiver = referenceContext(
      AES_128_GCM,
      { own: recipientKey, other: publicKeyOf(enc), enc, recipient },
      info,
    );
    expect(receiver.open(hex(sealed).subarray(39)).equals(request)).to.be.true;
    const random = hex("c789e7151fcba46158ca84b04464910d");
    const secret = receiver.export("message/bhttp response", 16);
    const { key, nonce } = referenceAnswerKey(AES_128_GCM, secret, enc, random);
    const answer = Buffer.concat([random, referenceSeal(AES_128_GCM, key, nonce, hex("0140c8"))]).toString("hex");
    expect(answer).to.equal("c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd");
  });

  it("sealed_isOpenedByTheReference_andItsAnswerByTheClient", async () => {
    const { privateKey } = generateKeyPairSync("x25519");
    const recipient = rawPublicKey(privateKey);
    const plaintext = randomBytes(1000);
    const { bytes, secrets } = await sealRequest({ keyId: 9, publicKey: recipient }, plaintext);

    const { header, info } = referenceHeader(9, CHACHA20_POLY1305);
    expect(Buffer.from(bytes.subarray(0, 7)).equals(header)).to.be.true;
    const enc = bytes.subarray(7, 39);
    const ends = { own: privateKey, other: publicKeyOf(enc), enc, recipient };
    const context = referenceContext(CHACHA20_POLY1305, ends, info);
    expect(context.open(bytes.subarray(39)).equals(plaintext)).to.be.true;

    const random = randomBytes(32);
    const secret = context.export("message/bhttp response", 32);
    const { key, nonce } = referenceAnswerKey(CHACHA20_POLY1305, secret, enc, random);
    const answer = Buffer.concat([random, referenceSeal(CHACHA20_POLY1305, key, nonce, Buffer.from("yes"))]);
    expect(openResponse(secrets, answer).toString()).to.equal("yes");
    expect(secrets.receiptSalt).to.equal(`0x${context.export("opengradient receipt salt", 32).toString("hex")}`);
  });

  it("sealedByTheReference_isOpened_andTheAnswerReadByTheReference", async () => {
    const key = await generateSealingKey(3);
    const recipient = Buffer.from(key.publicKey);
    const ephemeral = generateKeyPairSync("x25519").privateKey;
    const enc = rawPublicKey(ephemeral);
    const { header, info } = referenceHeader(3, CHACHA20_POLY1305);
    const ends = { own: ephemeral, other: publicKeyOf(recipient), enc, recipient };
    const context = referenceContext(CHACHA20_POLY1305, ends, info);
    const { plaintext, secrets } = await openRequest(
      key,
      Buffer.concat([header, enc, context.seal(Buffer.from("who?"))]),
    );
    expect(Buffer.from(plaintext).toString()).to.equal("who?");

    const answer = sealResponse(secrets, Buffer.from("me"));
    const secret = context.export("message/bhttp response", 32);
    const answerKey = referenceAnswerKey(CHACHA20_POLY1305, secret, enc, answer.subarray(0, 32));
    const opened = referenceOpen(CHACHA20_POLY1305, answerKey.key, answerKey.nonce, answer.subarray(32));
    expect(opened.toString()).to.equal("me");
    expect(Buffer.from(secrets.chunkedResponse).equals(context.export("message/bhttp chunked response", 32))).to.be
      .true;
  });

  it("anyBitChanged_isNotOpened", async () => {
    const key = await generateSealingKey();
    const { bytes } = await sealRequest(key, Buffer.from("secret"));
    for (let at = 0; at < bytes.length; at++) {
      const expected = at === 0 ? "unknown_key" : at < 7 ? "unsupported_suite" : "cannot_open";
      expect(await codeOf(() => openRequest(key, flipped(bytes, at))), `byte ${at}`).to.equal(expected);
    }
  });

  it("anyTruncation_isNotOpened", async () => {
    const key = await generateSealingKey();
    const { bytes } = await sealRequest(key, Buffer.from("secret"));
    for (let length = 0; length < bytes.length; length++) {
      const expected = length < 55 ? "malformed_request" : "cannot_open";
      expect(await codeOf(() => openRequest(key, bytes.subarray(0, length))), `${length} bytes`).to.equal(expected);
    }
  });

  it("anotherKey_doesNotOpenIt_evenUnderTheSameId", async () => {
    const { bytes } = await sealRequest(await generateSealingKey(), Buffer.from("secret"));
    expect(await codeOf(async () => openRequest(await generateSealingKey(), bytes))).to.equal("cannot_open");
  });

  it("keyIdIsBound_soThatARequestCannotBeMovedToAnotherId", async () => {
    const { keyPair } = await generateSealingKey();
    const { bytes } = await sealRequest(await sealingKeyOf(keyPair, 1), Buffer.from("secret"));
    const moved = Buffer.from(bytes);
    moved[0] = 2;
    expect(await codeOf(async () => openRequest(await sealingKeyOf(keyPair, 2), moved))).to.equal("cannot_open");
  });

  it("pointOfLowOrder_isRefusedOnBothSides", async () => {
    const key = await generateSealingKey();
    const zero = { keyId: 1, publicKey: new Uint8Array(32) };
    expect(await codeOf(() => sealRequest(zero, Buffer.from("secret")))).to.equal("cannot_open");
    const { bytes } = await sealRequest(key, Buffer.from("secret"));
    const forged = Buffer.concat([bytes.subarray(0, 7), Buffer.alloc(32), bytes.subarray(39)]);
    expect(await codeOf(() => openRequest(key, forged))).to.equal("cannot_open");
  });

  it("sameRequestTwice_sharesNothingVisibleButTheHeader", async () => {
    const key = await generateSealingKey();
    const [a, b] = await Promise.all([
      sealRequest(key, Buffer.from("secret")),
      sealRequest(key, Buffer.from("secret")),
    ]);
    expect(Buffer.from(a.bytes.subarray(7, 39)).equals(b.bytes.subarray(7, 39))).to.be.false;
    expect(Buffer.from(a.bytes.subarray(39)).equals(b.bytes.subarray(39))).to.be.false;
    expect(a.secrets.receiptSalt).to.not.equal(b.secrets.receiptSalt);
  });

  it("keyPairOfHpkeCore_isTakenAsItIs", async () => {
    const keyPair = await kem.generateKeyPair();
    const key = await sealingKeyOf(keyPair, 5);
    const { bytes } = await sealRequest({ keyId: 5, publicKey: key.publicKey }, Buffer.from("secret"));
    expect(Buffer.from((await openRequest(key, bytes)).plaintext).toString()).to.equal("secret");
  });
});

describe("sealed answers", () => {
  it("answer_isOpenedByItsClientOnly", async () => {
    const key = await generateSealingKey();
    const [ours, theirs] = [await exchange(key), await exchange(key)];
    const sealed = sealResponse(ours.server, Buffer.from("42"));
    expect(openResponse(ours.client, sealed).toString()).to.equal("42");
    expect(await codeOf(() => openResponse(theirs.client, sealed))).to.equal("cannot_open");
  });

  it("anyChange_isRefused", async () => {
    const { client, server } = await exchange(await generateSealingKey());
    const sealed = sealResponse(server, Buffer.from("42"));
    for (let at = 0; at < sealed.length; at++) {
      expect(await codeOf(() => openResponse(client, flipped(sealed, at))), `byte ${at}`).to.equal("cannot_open");
      const expected = at < 48 ? "malformed_response" : "cannot_open";
      expect(await codeOf(() => openResponse(client, sealed.subarray(0, at))), `${at} bytes`).to.equal(expected);
    }
  });

  it("sameAnswerTwice_looksDifferent", async () => {
    const { server } = await exchange(await generateSealingKey());
    const [a, b] = [sealResponse(server, Buffer.from("42")), sealResponse(server, Buffer.from("42"))];
    expect(a.subarray(32).equals(b.subarray(32))).to.be.false;
  });
});
