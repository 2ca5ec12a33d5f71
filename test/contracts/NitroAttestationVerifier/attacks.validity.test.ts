import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { sequence, tlv } from "../../../simulator/enclave/der.ts";
import { documentOf, GAS, issueChain, issueLeaf, ISSUED_AT } from "../../support/attestation.ts";
import { rewritten } from "../../support/certificateBytes.ts";
import { chainAttacks, expectRefusal, nameOf } from "../../support/chainAttacks.ts";

const LEVELS = ["regional", "zonal", "instance", "leaf"] as const;

describe("NitroAttestationVerifier attacks, validity of certificates", () => {
  const { genuine, state, refusesDocument } = chainAttacks();
  const instance = genuine.cas[3]!;

  LEVELS.forEach((level, index) => {
    for (const [fault, error, time] of [
      [{ notAfter: ISSUED_AT + 4_999 }, "CertificateExpired", ISSUED_AT + 4_999],
      [{ notBefore: ISSUED_AT + 5_001 }, "CertificateNotYetValid", ISSUED_AT + 5_001],
    ] as const) {
      it(`${level}_reverts${error}`, async () => {
        const chain = issueChain({ [level]: fault }, genuine.cas.slice(0, index + 1));
        const { verifier, connection } = state();
        await connection.networkHelpers.time.increaseTo(ISSUED_AT + 5_000);
        await expectRefusal(verifier, documentOf(chain), error, [...nameOf(index + 1)(chain), time, ISSUED_AT + 5_000]);
      });
    }
  });
  const time = (tag: number, text: string) => tlv(tag, Buffer.from(text));
  const validity = (name: string, error: string, operands: unknown[], ...times: Buffer[]) =>
    refusesDocument(name, error, operands, () => {
      const leaf = rewritten(genuine.leaf, instance, (fields) => (fields[4] = sequence(...times)));
      return documentOf({ cas: genuine.cas, leaf });
    });
  const good = time(0x17, "330518033317Z");
  const text = (value: string) => [ethers.hexlify(Buffer.from(value))];
  for (const [name, bad] of Object.entries({
    monthThirteen: "331301000000Z",
    monthZero: "330001000000Z",
    dayZero: "330500000000Z",
    februaryThirtieth: "330230000000Z",
    februaryTwentyNinthOfACommonYear: "330229000000Z",
    aprilThirtyFirst: "330431000000Z",
    hourTwentyFour: "330518240000Z",
    minuteSixty: "330518006000Z",
    secondSixty: "330518000060Z",
    letters: "3305180000aaZ",
    noZone: "3305180000000",
    before1970: "690518000000Z",
  })) {
    validity(name, "InvalidTime", text(bad), good, time(0x17, bad));
  }
  validity("generalizedTimeBefore2050", "InvalidTime", text("20330518000000Z"), time(0x18, "20330518000000Z"), good);
  validity("offsetInsteadOfZ", "UnsupportedTimeFormat", [0x17, 17], time(0x17, "330518000000+0100"), good);
  validity("textAsTime", "UnsupportedTimeFormat", [0x0c, 13], time(0x0c, "330518000000Z"), good);
  validity("thirdTime", "TrailingBytes", [15], good, good, good);
  it("leapDayAndYear2050_areUnderstood", async () => {
    const notAfter = Date.UTC(2096, 1, 29, 23, 59, 59) / 1_000;
    const leaf = issueLeaf(instance, { notAfter });
    const { verifier } = state();
    await verifier.verify(documentOf({ cas: genuine.cas, leaf }), GAS);
    expect((await verifier.certificateOf(certificateName(leaf.der))).notAfter).to.equal(notAfter);
  });
});
