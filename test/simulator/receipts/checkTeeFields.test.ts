import { expect } from "chai";

import {
  checkTeeAnswer,
  checkTeeFields,
  type ExpectedStatement,
  type TeeKey,
  teeOutputHash,
} from "../../../simulator/receipts/checkTeeFields.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { signTeeFields, type TeeFields, teeRequestHash } from "../../../simulator/receipts/teeReceipt.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rsaKey, type RsaKey, signPss } from "../../support/rsaPss.ts";

const REQUEST = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Grüße" }] });
const TIMESTAMP = 1_800_000_000n;

const keyOf = ({ spki }: RsaKey): TeeKey => ({ teeId: keccak256(spki), publicKeyDer: spki });
const refusedWith = (check: () => unknown, code: string, what?: string) =>
  expect(check, what).to.throw().with.property("code", code);

describe("checkTeeFields", () => {
  const rsa = rsaKey(2048);
  const key = keyOf(rsa);
  let expected: ExpectedStatement;
  let fields: TeeFields;
  let answer: Record<string, unknown>;

  const enclave = (of: RsaKey) => ({
    teeId: keccak256(of.spki),
    signTeeMessage: (hash: Uint8Array) => Promise.resolve(signPss(of, hash)),
  });
  /** An answer with fields that are signed as they stand, and changes after that. */
  const signed = async (changes: Partial<ExpectedStatement> = {}, of = rsa) =>
    signTeeFields(enclave(of), { ...expected, timestamp: TIMESTAMP, ...changes });

  before(async () => {
    answer = { id: "a", choices: [{ index: 0, message: { role: "assistant", content: "Hallo 🌍" } }] };
    expected = {
      requestHash: teeRequestHash("chat", REQUEST),
      outputHash: teeOutputHash("chat", JSON.stringify(answer)),
    };
    fields = await signed();
  });

  it("answer_ofTheEnclave_isItsStatement", () => {
    const statement = { ...expected, timestamp: TIMESTAMP };
    expect(checkTeeFields({ ...answer, ...fields }, expected, key)).to.deep.equal(statement);
    expect(checkTeeFields({ ...answer, ...fields }, statement, key)).to.deep.equal(statement);
    expect(checkTeeAnswer("chat", REQUEST, JSON.stringify({ ...answer, ...fields }), key)).to.deep.equal(statement);
  });

  it("fields_inAnotherCaseOfHexadecimal_areTheSame", () => {
    const upper = { ...fields, tee_request_hash: fields.tee_request_hash.toUpperCase() };
    expect(checkTeeFields(upper, expected, key).requestHash).to.equal(expected.requestHash);
  });

  it("fields_missingOrMalformed_areRefused", () => {
    for (const name of Object.keys(fields) as (keyof TeeFields)[]) {
      const without: Partial<TeeFields> = { ...fields };
      delete without[name];
      refusedWith(() => checkTeeFields(without, expected, key), "missing_tee_fields", name);
      refusedWith(() => checkTeeFields({ ...fields, [name]: null }, expected, key), "missing_tee_fields", name);
    }
    const malformed: Partial<Record<keyof TeeFields, unknown>>[] = [
      { tee_signature: "not base64" },
      { tee_signature: "A".repeat(4_096) },
      { tee_request_hash: `0x${fields.tee_request_hash}` },
      { tee_output_hash: fields.tee_output_hash.slice(2) },
      { tee_timestamp: 1.5 },
      { tee_timestamp: -1 },
      { tee_timestamp: "1800000000" },
      { tee_id: fields.tee_id.slice(2) },
    ];
    for (const change of malformed) {
      refusedWith(() => checkTeeFields({ ...fields, ...change }, expected, key), "missing_tee_fields");
    }
    for (const nothing of [undefined, null, "text", []]) {
      refusedWith(() => checkTeeFields(nothing, expected, key), "missing_tee_fields");
    }
  });

  it("statement_aboutSomethingElse_isRefusedThoughSigned", async () => {
    const other: Hex = `0x${"11".repeat(32)}`;
    for (const changes of [
      { requestHash: other },
      { outputHash: other },
      { requestHash: expected.outputHash, outputHash: expected.requestHash },
    ]) {
      const about = await signed(changes);
      refusedWith(() => checkTeeFields(about, expected, key), "tee_hash_mismatch");
    }
    const late = await signed({ timestamp: TIMESTAMP + 1n });
    expect(checkTeeFields(late, expected, key).timestamp).to.equal(TIMESTAMP + 1n);
    refusedWith(() => checkTeeFields(late, { ...expected, timestamp: TIMESTAMP }, key), "tee_timestamp_mismatch");
  });

  it("fields_changedAfterTheSignature_areRefused", () => {
    refusedWith(
      () => checkTeeFields({ ...fields, tee_timestamp: fields.tee_timestamp + 1 }, expected, key),
      "tee_signature_invalid",
    );
    const signature = Buffer.from(fields.tee_signature, "base64");
    for (const wrong of [
      signature.map((byte, i) => (i === 200 ? byte ^ 1 : byte)),
      signature.subarray(1),
      Buffer.alloc(0),
      Buffer.concat([Buffer.alloc(1), signature]),
    ]) {
      const tee_signature = Buffer.from(wrong).toString("base64");
      refusedWith(() => checkTeeFields({ ...fields, tee_signature }, expected, key), "tee_signature_invalid");
    }
  });

  it("statement_ofAnotherEnclave_isRefused", async () => {
    const other = rsaKey(2048);
    const theirs = await signed({}, other);
    refusedWith(() => checkTeeFields(theirs, expected, key), "tee_id_mismatch");
    // its signature under this enclave's name, and the other way round
    refusedWith(() => checkTeeFields({ ...theirs, tee_id: key.teeId }, expected, key), "tee_signature_invalid");
    refusedWith(() => checkTeeFields({ ...fields, tee_id: theirs.tee_id }, expected, key), "tee_id_mismatch");
    refusedWith(() => checkTeeFields(fields, expected, { ...key, publicKeyDer: other.spki }), "tee_id_mismatch");
    refusedWith(() => checkTeeFields(theirs, expected, { ...keyOf(other), teeId: key.teeId }), "tee_id_mismatch");
  });

  it("keys_thatNoContractTakes_areRefused", async () => {
    for (const weak of [rsaKey(1024), rsaKey(2048, 3)]) {
      const theirs = await signed({}, weak);
      refusedWith(() => checkTeeFields(theirs, expected, keyOf(weak)), "tee_key_invalid");
    }
    const publicKeyDer = Buffer.from("not a key");
    const teeId = keccak256(publicKeyDer);
    refusedWith(
      () => checkTeeFields({ ...fields, tee_id: teeId }, expected, { teeId, publicKeyDer }),
      "tee_key_invalid",
    );
  });

  it("otherPaddings_areRefused", async () => {
    for (const saltLength of [0, 20, 222]) {
      const theirs = await signTeeFields(
        { teeId: key.teeId, signTeeMessage: (hash) => Promise.resolve(signPss(rsa, hash, saltLength)) },
        { ...expected, timestamp: TIMESTAMP },
      );
      refusedWith(() => checkTeeFields(theirs, expected, key), "tee_signature_invalid");
    }
  });

  it("answer_whoseTextWasChanged_isRefused", () => {
    const text = JSON.stringify({ ...answer, ...fields });
    refusedWith(() => checkTeeAnswer("chat", REQUEST, text.replace("Hallo", "Hello"), key), "tee_hash_mismatch");
    refusedWith(() => checkTeeAnswer("chat", REQUEST.replace("ü", "u"), text, key), "tee_hash_mismatch");
  });

  const unreadable: [kind: "chat" | "completion" | "inference", text: string, code: string][] = [
    ["chat", "not JSON", "unreadable_answer"],
    ["chat", "[]", "unreadable_answer"],
    ["chat", '{"choices":[]}', "unreadable_answer"],
    ["chat", '{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}', "unreadable_answer"],
    ["chat", '{"choices":[{"message":{"content":"a"}}],"choices":[{"message":{"content":"b"}}]}', "unreadable_answer"],
    ["chat", '{"choices":[{"message":{"content":7}}]}', "unreadable_answer"],
    ["chat", '{"choices":[{"text":"a"}]}', "unreadable_answer"],
    [
      "chat",
      '{"choices":[{"message":{"content":"a","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}',
      "unsigned_content",
    ],
    ["chat", '{"choices":[{"message":{"content":null,"tool_calls":["call"]}}]}', "unreadable_answer"],
    ["completion", '{"choices":[{"text":"a"}],"completion":"b"}', "unsigned_content"],
    ["completion", '{"choices":[{"message":{"content":"a"}}]}', "unreadable_answer"],
    ["inference", '{"outputs":[1]}', "unreadable_answer"],
    ["inference", '{"choices":[]}', "unreadable_answer"],
  ];
  for (const [kind, text, code] of unreadable) {
    it(`teeOutputHash_${kind}_${text.slice(0, 50)}_isRefused`, () => {
      refusedWith(() => teeOutputHash(kind, text), code);
    });
  }
});
