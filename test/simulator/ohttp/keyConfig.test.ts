import { expect } from "chai";
import {
  encodeKeyConfig,
  encodeKeyConfigs,
  generateSealingKey,
  parseKeyConfig,
  parseKeyConfigs,
} from "../../../simulator/ohttp/keyConfig.ts";
import { OhttpError } from "../../../simulator/ohttp/OhttpError.ts";

/** RFC 9458, appendix A: two algorithms, ours is the second. */
const RFC_CONFIG = Buffer.from(
  "01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003",
  "hex",
);
const RFC_KEY = RFC_CONFIG.subarray(3, 35).toString("hex");

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
  } catch (error) {
    if (error instanceof OhttpError) return error.code;
    throw error;
  }
  return undefined;
};

describe("key configurations", () => {
  it("rfcVector_isRead", () => {
    const { keyId, publicKey } = parseKeyConfig(RFC_CONFIG);
    expect(keyId).to.equal(1);
    expect(Buffer.from(publicKey).toString("hex")).to.equal(RFC_KEY);
  });

  it("encoded_isReadBack", async () => {
    const { keyId, publicKey } = await generateSealingKey(200);
    const config = encodeKeyConfig({ keyId, publicKey });
    expect(config).to.have.length(41);
    expect(parseKeyConfig(config)).to.deep.equal({ keyId: 200, publicKey });
  });

  it("list_isReadWithoutWhatIsForOtherSuites", async () => {
    const keys = [await generateSealingKey(7), await generateSealingKey(8)].map(({ keyId, publicKey }) => ({
      keyId,
      publicKey,
    }));
    const otherKem = Buffer.from("0005" + "0300100001", "hex");
    const otherAead = Buffer.concat([Buffer.from([0, 41]), encodeKeyConfig(keys[0]!)]);
    otherAead[otherAead.length - 1] = 1;
    const list = Buffer.concat([
      otherKem,
      encodeKeyConfigs(keys.slice(0, 1)),
      otherAead,
      encodeKeyConfigs(keys.slice(1)),
    ]);
    expect(parseKeyConfigs(list)).to.deep.equal(keys);
    expect(parseKeyConfigs(Buffer.alloc(0))).to.deep.equal([]);
  });

  it("everyTruncation_isRefused", () => {
    for (let length = 0; length < RFC_CONFIG.length; length++) {
      expect(
        codeOf(() => parseKeyConfig(RFC_CONFIG.subarray(0, length))),
        `${length} bytes`,
      ).to.equal("malformed_config");
    }
    const list = encodeKeyConfigs([parseKeyConfig(RFC_CONFIG)]);
    for (let length = 1; length < list.length; length++) {
      expect(
        codeOf(() => parseKeyConfigs(list.subarray(0, length))),
        `${length} bytes`,
      ).to.equal("malformed_config");
    }
  });

  it("bytesBehind_areRefused", () => {
    expect(codeOf(() => parseKeyConfig(Buffer.concat([RFC_CONFIG, Buffer.from([0])])))).to.equal("malformed_config");
  });

  it("otherSuite_isToldApartFromGarbage", () => {
    const config = Buffer.from(RFC_CONFIG);
    config.writeUInt16BE(0x0010, 1);
    expect(codeOf(() => parseKeyConfig(config))).to.equal("unsupported_suite");
  });

  it("keyOfWrongLength_isNotEncoded", () => {
    expect(codeOf(() => encodeKeyConfig({ keyId: 1, publicKey: new Uint8Array(31) }))).to.equal("malformed_config");
    expect(codeOf(() => encodeKeyConfig({ keyId: 256, publicKey: new Uint8Array(32) }))).to.equal("malformed_config");
  });
});
