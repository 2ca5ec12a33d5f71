import {
  authorityKeyIdentifier,
  basicConstraints,
  type CertificateSpec,
  extension,
  type KeyIds,
  keyUsage,
  subjectKeyIdentifier,
} from "../../../simulator/enclave/certificate.ts";
import { boolean, namedBits, sequence, tlv } from "../../../simulator/enclave/der.ts";
import { chainAttacks, nameOf } from "../../support/chainAttacks.ts";

describe("NitroAttestationVerifier attacks, extensions of certificates", () => {
  const { refuses } = chainAttacks();
  const extensions =
    (...all: Buffer[]): CertificateSpec["extensions"] =>
    (ids: KeyIds) => [...all, authorityKeyIdentifier(ids.issuer), subjectKeyIdentifier(ids.subject)];
  const signs = keyUsage(["digitalSignature", "nonRepudiation"], false);
  const certifies = keyUsage(["keyCertSign"]);
  const constraintsOf = (value: Buffer) => extension("2.5.29.19", true, value);
  const uses = (content: Buffer) => extension("2.5.29.15", true, tlv(0x03, content));
  const zonalWith = (...all: Buffer[]) => ({ zonal: { extensions: extensions(...all) } });
  const leafWith = (...all: Buffer[]) => ({ leaf: { extensions: () => all } });

  refuses("intermediateThatIsNoCa", zonalWith(basicConstraints(false), signs), "NotCa", nameOf(2));
  refuses("intermediateWithoutConstraints", zonalWith(certifies), "MissingBasicConstraints");
  refuses("noExtensionsField", { zonal: { extensions: undefined } }, "OutOfBounds", [2, 0]);
  refuses("noExtensions", leafWith(), "MissingBasicConstraints");
  refuses(
    "caAsLeaf",
    leafWith(basicConstraints(true), keyUsage(["digitalSignature", "keyCertSign"])),
    "LeafIsCa",
    nameOf(4),
  );
  refuses("leafWithPathLength", leafWith(basicConstraints(false, 0), signs), "UnexpectedDerTag", [0x01, 0x02]);
  refuses(
    "caWithoutKeyCertSign",
    zonalWith(basicConstraints(true, 1), keyUsage(["digitalSignature"])),
    "KeyUsageMismatch",
    [true, 0x80],
  );
  refuses(
    "leafWithoutDigitalSignature",
    leafWith(basicConstraints(false), keyUsage(["nonRepudiation"])),
    "KeyUsageMismatch",
    [false, 0x40],
  );
  refuses(
    "leafWithKeyCertSign",
    leafWith(basicConstraints(false), keyUsage(["digitalSignature", "keyCertSign"])),
    "KeyUsageMismatch",
    [false, 0x84],
  );
  refuses("leafWithoutKeyUsage", leafWith(basicConstraints(false)), "MissingKeyUsage");
  const unknown = extension("2.5.29.36", true, sequence());
  refuses(
    "unknownCriticalExtension",
    zonalWith(basicConstraints(true, 1), certifies, unknown),
    "UnknownCriticalExtension",
    ["0x551d24"],
  );
  refuses(
    "duplicateConstraints",
    zonalWith(basicConstraints(true, 1), basicConstraints(true, 1), certifies),
    "DuplicateExtension",
    ["0x551d13"],
  );
  refuses("duplicateKeyUsage", zonalWith(basicConstraints(true, 1), certifies, certifies), "DuplicateExtension", [
    "0x551d0f",
  ]);
  const extra = (arc: number) => extension(`1.3.6.1.4.1.${arc}`, false, sequence());
  refuses(
    "duplicateUnknownExtension",
    leafWith(extra(7), basicConstraints(false), signs, extra(7)),
    "DuplicateExtension",
    ["0x2b0601040107"],
  );
  refuses(
    "seventeenExtensions",
    leafWith(...Array.from({ length: 17 }, (_, i) => extra(i))),
    "TooManyExtensions",
    [16],
  );
  refuses(
    "criticalFalseSpelledOut",
    leafWith(sequence(tlv(0x06, Buffer.from("551d13", "hex")), boolean(false), tlv(0x04, sequence())), signs),
    "InvalidDerBoolean",
    ["0x00"],
  );
  refuses(
    "criticalTrueAs01",
    leafWith(sequence(tlv(0x06, Buffer.from("551d13", "hex")), tlv(0x01, Buffer.of(1)), tlv(0x04, sequence())), signs),
    "InvalidDerBoolean",
    ["0x01"],
  );
  refuses("caFalseSpelledOut", leafWith(constraintsOf(sequence(boolean(false))), signs), "InvalidDerBoolean", ["0x00"]);
  refuses(
    "constraintsWithATrailingByte",
    leafWith(constraintsOf(Buffer.concat([sequence(), Buffer.of(0)])), signs),
    "TrailingBytes",
    [1],
  );
  refuses(
    "negativePathLength",
    zonalWith(constraintsOf(sequence(boolean(true), tlv(0x02, Buffer.of(0xff)))), certifies),
    "InvalidDerInteger",
    ["0xff"],
  );
  refuses(
    "pathLengthNotMinimal",
    zonalWith(constraintsOf(sequence(boolean(true), tlv(0x02, Buffer.of(0, 1)))), certifies),
    "InvalidDerInteger",
    ["0x0001"],
  );
  refuses(
    "emptyPathLength",
    zonalWith(constraintsOf(sequence(boolean(true), tlv(0x02))), certifies),
    "InvalidDerInteger",
    ["0x"],
  );
  refuses(
    "keyUsageOfTwoBytes",
    leafWith(basicConstraints(false), extension("2.5.29.15", true, namedBits([0, 8]))),
    "InvalidKeyUsage",
    ["0x078080"],
  );
  refuses(
    "keyUsageWithoutBits",
    leafWith(basicConstraints(false), extension("2.5.29.15", true, namedBits([]))),
    "InvalidKeyUsage",
    ["0x00"],
  );
  refuses("keyUsageWithTrailingZeros", leafWith(basicConstraints(false), uses(Buffer.of(0, 0x80))), "InvalidKeyUsage", [
    "0x0080",
  ]);
  refuses("keyUsageWithUnusedBitsSet", leafWith(basicConstraints(false), uses(Buffer.of(7, 0xc0))), "InvalidKeyUsage", [
    "0x07c0",
  ]);
  refuses(
    "keyUsageWithEightUnusedBits",
    leafWith(basicConstraints(false), uses(Buffer.of(8, 0x80))),
    "InvalidKeyUsage",
    ["0x0880"],
  );
});
