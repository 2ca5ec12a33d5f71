import { createHash } from "node:crypto";

import { expect } from "chai";

import { type Certificate, issueCertificate } from "../../../simulator/enclave/certificate.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { regionalSpec } from "../../../simulator/enclave/certificateProfiles.ts";
import { measured, NsmError, type NsmOptions, SoftwareNsm } from "../../../simulator/enclave/SoftwareNsm.ts";
import { TEST_ROOT_FINGERPRINT, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument } from "../../../simulator/enclave/verifyDocument.ts";
import { bytesOf } from "../../support/attestationForgery.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START = Date.UTC(2026, 10, 21, 12);
const MEASUREMENTS = { pcr0: bytesOf("0", 48), pcr1: bytesOf("1", 48), pcr2: bytesOf("2", 48) };

/** A module by a clock that the test moves. */
function moduleAt(start: number, options: Partial<NsmOptions> = {}) {
  const clock = { now: start };
  const authorities = new CertificateChain(testRoot(), { instanceId: "i-0340e0cb833504eb6", region: "eu-west-1" });
  const nsm = new SoftwareNsm({ authorities, measurements: MEASUREMENTS, clock: () => clock.now, ...options });
  const attest = (request: Parameters<SoftwareNsm["attest"]>[0] = {}) =>
    verifyDocument(nsm.attest(request), { rootFingerprint: TEST_ROOT_FINGERPRINT, at: clock.now, allowDebug: true });
  return { nsm, clock, attest };
}

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof NsmError) return error.code;
    throw error;
  }
  return "none";
};

describe("SoftwareNsm", () => {
  it("attests what it is asked to bind, in a document the independent verifier accepts", () => {
    const { attest, nsm } = moduleAt(START);
    const request = { publicKey: bytesOf("key", 97), userData: bytesOf("data", 68), nonce: bytesOf("nonce", 32) };
    const verified = attest(request);
    expect(verified).to.deep.include(request);
    expect(verified.moduleId).to.equal(nsm.moduleId);
    expect(verified.timestamp).to.equal(START);
    expect(verified.certificates.at(-1)!.subject).to.contain(`CN=${nsm.moduleId}.eu-west-1.sim`);
  });

  it("names itself by its instance and the time it started", () => {
    const { nsm } = moduleAt(START);
    const [, enclaveId] = /^i-0340e0cb833504eb6-enc([0-9a-f]{16})$/.exec(nsm.moduleId)!;
    expect(Number.parseInt(enclaveId!.slice(0, 12), 16)).to.equal(START);
    expect(moduleAt(START).nsm.moduleId).not.to.equal(nsm.moduleId);
  });

  it("serves what was not asked for as null", () => {
    const { publicKey, userData, nonce } = moduleAt(START).attest();
    expect([publicKey, userData, nonce]).to.deep.equal([undefined, undefined, undefined]);
    const empty = moduleAt(START).attest({ userData: Buffer.alloc(0), nonce: Buffer.alloc(0) });
    expect([empty.userData?.length, empty.nonce?.length]).to.deep.equal([0, 0]);
  });

  it("takes inputs up to NSM's limits and none beyond", () => {
    const { nsm, attest } = moduleAt(START);
    const largest = { publicKey: Buffer.alloc(1024, 1), userData: Buffer.alloc(512), nonce: Buffer.alloc(512) };
    expect(attest(largest).publicKey).to.have.lengthOf(1024);
    for (const [field, length] of [
      ["publicKey", 1025],
      ["userData", 513],
      ["nonce", 513],
    ] as const) {
      expect(codeOf(() => nsm.attest({ [field]: Buffer.alloc(length) }))).to.equal("InputTooLarge");
    }
    expect(codeOf(() => nsm.attest({ publicKey: Buffer.alloc(0) }))).to.equal("InvalidArgument");
  });

  describe("registers", () => {
    it("hold the measurements, the role and the instance; the others are zeros", () => {
      const { pcrs } = moduleAt(START, { roleArn: "arn:aws:iam::1:role/x" }).attest();
      expect([...pcrs.keys()]).to.deep.equal(Array.from({ length: 16 }, (_, index) => index));
      expect([0, 1, 2].map((index) => pcrs.get(index))).to.deep.equal(Object.values(MEASUREMENTS));
      expect(pcrs.get(3)).to.deep.equal(measured(Buffer.from("arn:aws:iam::1:role/x")));
      expect(pcrs.get(4)).to.deep.equal(
        createHash("sha384").update(Buffer.alloc(48)).update("i-0340e0cb833504eb6").digest(),
      );
      expect([...pcrs.values()].slice(5).every((pcr) => pcr.equals(Buffer.alloc(48)))).to.equal(true);
    });

    it("0 to 15 can be neither extended nor locked again", () => {
      const { nsm } = moduleAt(START);
      for (const index of [0, 4, 15]) {
        expect(codeOf(() => nsm.extendPcr(index, Buffer.from("x")))).to.equal("ReadOnlyIndex");
        expect(codeOf(() => nsm.lockPcr(index))).to.equal("ReadOnlyIndex");
      }
      expect(nsm.describePcr(0)).to.deep.equal({ locked: true, data: MEASUREMENTS.pcr0 });
    });

    it("16 to 31 are extended by AWS's rule, and in documents once locked", () => {
      const { nsm, attest } = moduleAt(START);
      const first = nsm.extendPcr(16, Buffer.from("a"));
      expect(first).to.deep.equal(measured(Buffer.from("a")));
      const second = nsm.extendPcr(16, Buffer.from("b"));
      expect(second).to.deep.equal(createHash("sha384").update(first).update("b").digest());
      expect(attest().pcrs.has(16)).to.equal(false);
      nsm.lockPcr(16);
      expect(attest().pcrs.get(16)).to.deep.equal(second);
      expect(codeOf(() => nsm.extendPcr(16, Buffer.from("c")))).to.equal("ReadOnlyIndex");
      expect(nsm.describe().lockedPcrs).to.have.lengthOf(17);
    });

    it("there are 32 of", () => {
      const { nsm } = moduleAt(START);
      expect(nsm.describe()).to.deep.include({ maxPcrs: 32, digest: "SHA384", moduleId: nsm.moduleId });
      for (const index of [-1, 32, 1.5]) expect(codeOf(() => nsm.describePcr(index))).to.equal("InvalidIndex");
    });

    it("cannot be changed from outside", () => {
      const { nsm, attest } = moduleAt(START);
      nsm.describePcr(0).data.fill(0);
      nsm.extendPcr(20, Buffer.from("a")).fill(0);
      expect(attest().pcrs.get(0)).to.deep.equal(MEASUREMENTS.pcr0);
      expect(nsm.describePcr(20).data).to.deep.equal(measured(Buffer.from("a")));
    });

    it("0 to 2 are zeros in debug mode", () => {
      const { attest } = moduleAt(START, { debug: true });
      const { debug, pcrs } = attest();
      expect(debug).to.equal(true);
      expect(pcrs.get(4)).not.to.deep.equal(Buffer.alloc(48));
    });

    it("take only whole measurements", () => {
      const measurements = { ...MEASUREMENTS, pcr1: Buffer.alloc(32) };
      expect(codeOf(() => moduleAt(START, { measurements }))).to.equal("InvalidArgument");
    });
  });

  describe("certificates", () => {
    const chainOf = ({ certificates }: ReturnType<ReturnType<typeof moduleAt>["attest"]>) =>
      certificates.map(({ serialNumber }) => serialNumber);

    it("stay the same until the leaf has an hour left, so that a verifier's cache serves", () => {
      const { attest, clock } = moduleAt(START);
      const before = attest();
      clock.now += 2 * HOUR_MS;
      const late = attest();
      expect(chainOf(late)).to.deep.equal(chainOf(before));
      clock.now += 1000;
      const renewed = attest();
      expect(chainOf(renewed).slice(0, 4)).to.deep.equal(chainOf(before).slice(0, 4));
      expect(chainOf(renewed)[4]).not.to.equal(chainOf(before)[4]);
      expect(renewed.validUntil).to.be.greaterThan(before.validUntil);
    });

    it("are good at any time of two months, each document for an hour more", () => {
      const { attest, clock } = moduleAt(START);
      for (let hour = 0; hour < 60 * 24; hour += 19) {
        clock.now = START + hour * HOUR_MS;
        expect(attest().validUntil * 1000).to.be.at.least(clock.now + HOUR_MS);
      }
    });

    it("are replaced from the level on that ends first", () => {
      const { attest, clock } = moduleAt(START);
      const before = chainOf(attest());
      clock.now += DAY_MS;
      const after = chainOf(attest());
      expect(after.slice(0, 3)).to.deep.equal(before.slice(0, 3));
      expect(after[3]).not.to.equal(before[3]);
    });

    it("are issued anew when the clock is set back", () => {
      const { attest, clock } = moduleAt(START);
      attest();
      clock.now -= 30 * DAY_MS;
      expect(attest().timestamp).to.equal(START - 30 * DAY_MS);
    });

    it("of one host are shared by its enclaves, but for the leaf", () => {
      const authorities = new CertificateChain(testRoot());
      const [one, other] = [moduleAt(START, { authorities }), moduleAt(START, { authorities })].map(({ attest }) =>
        chainOf(attest()),
      );
      expect(one!.slice(0, 4)).to.deep.equal(other!.slice(0, 4));
      expect(one![4]).not.to.equal(other![4]);
    });

    it("can come from elsewhere", () => {
      const root = testRoot();
      const place = { region: "r", instanceId: "i-1" };
      const bundle: Certificate[] = [root, issueCertificate(regionalSpec(root, place, START / 1000))];
      const { attest } = moduleAt(START, { authorities: { place, at: () => bundle } });
      expect(attest().certificates).to.have.lengthOf(3);
    });
  });
});
