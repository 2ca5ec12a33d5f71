import { expect } from "chai";
import { checkEnclave } from "../../../simulator/client/checkEnclave.ts";
import { EnclaveError } from "../../../simulator/client/EnclaveError.ts";
import type { EnclavePolicy, RegisteredEnclave } from "../../../simulator/client/EnclavePolicy.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { registered, startEnclave, TEST_ROOT } from "./registeredEnclave.ts";

describe("checkEnclave", () => {
  let enclave: Enclave;
  // not the wall clock, which goes on between here and the tests
  const now = 1_800_000_000;
  const live = { attestedAt: now, heartbeatAt: now, liveUntil: now + 3_600 };

  before(async () => {
    enclave = await startEnclave();
  });

  const check = (changes: Partial<RegisteredEnclave>, policy: EnclavePolicy = {}): void =>
    checkEnclave(registered(enclave, { ...live, ...changes }), policy, now);

  it("wholeLiveEntry_isAccepted", () => {
    check({});
    check({ endpoint: "https://tee.example.org" });
    check({}, { pcrHashes: [registered(enclave).pcrHash.toUpperCase().replace("0X", "0x") as `0x${string}`] });
    check({ root: TEST_ROOT }, { allowTestRoot: true });
    check({ endpoint: "http://127.0.0.1:80" }, { allowPlainLoopback: true });
    check({ attestedAt: now + 300, heartbeatAt: now + 300 });
    check({ heartbeatAt: now - 1_800 });
    check({ liveUntil: now + 1 });
  });

  const refusals: [string, string, Partial<RegisteredEnclave>, EnclavePolicy?][] = [
    ["plainEndpoint", "insecure_endpoint", { endpoint: "http://tee.example.org" }],
    ["plainEndpointElsewhere", "insecure_endpoint", { endpoint: "http://10.0.0.1" }, { allowPlainLoopback: true }],
    ["endpointThatIsNoUrl", "insecure_endpoint", { endpoint: "tee.example.org:443" }],
    ["noEndpoint", "insecure_endpoint", { endpoint: "" }],
    ["rsaKeyOfAnother", "registry_mismatch", { teeId: keccak256("another") }],
    ["noReceiptKey", "registry_mismatch", { key: `0x${"00".repeat(20)}` }],
    ["noRsaKey", "registry_mismatch", { signingKey: Buffer.from("x"), teeId: keccak256("x") }],
    ["noCertificate", "registry_mismatch", { tlsCertificate: Buffer.alloc(0) }],
    ["noSealingKey", "no_sealing_key", { sealingKey: Buffer.alloc(0) }],
    ["zeroSealingKey", "no_sealing_key", { sealingKey: Buffer.alloc(32) }],
    ["imageNotOnTheList", "unknown_image", {}, { pcrHashes: [keccak256("good image")] }],
    ["emptyListOfImages", "unknown_image", {}, { pcrHashes: [] }],
    ["testRoot", "test_root", { root: TEST_ROOT }],
    ["noVerifier", "verifier_removed", { root: "0x", verifierInUse: false }],
    ["removedVerifier", "verifier_removed", { verifierInUse: false }],
    ["wornOutAttestation", "not_live", { liveUntil: now }],
    ["attestationInTheFuture", "not_live", { attestedAt: now + 301 }],
    ["staleHeartbeat", "stale_heartbeat", { heartbeatAt: now - 1_801 }],
    ["staleHeartbeatByThePolicy", "stale_heartbeat", { heartbeatAt: now - 61 }, { maxHeartbeatAgeSeconds: 60 }],
    ["heartbeatInTheFuture", "stale_heartbeat", { heartbeatAt: now + 301 }],
  ];
  for (const [name, code, changes, policy] of refusals) {
    it(`${name}_isRefused`, () => {
      expect(() => check(changes, policy))
        .to.throw(EnclaveError)
        .with.property("code", code);
    });
  }

  it("certificateWithBytesAfterIt_isRefused", () => {
    const tlsCertificate = Buffer.concat([enclave.tlsCertificateDer, Buffer.of(0)]);
    expect(() => check({ tlsCertificate }))
      .to.throw(EnclaveError)
      .with.property("code", "registry_mismatch");
  });
});
