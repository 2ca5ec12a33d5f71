import { expect } from "chai";
import { EnclaveDirectory, type EnclaveDirectoryOptions } from "../../../simulator/client/EnclaveDirectory.ts";
import type { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { EnclaveFixture } from "./enclaveFixture.ts";
import { TEST_ROOT } from "./registeredEnclave.ts";

describe("EnclaveDirectory", () => {
  let fixture: EnclaveFixture;
  let enclave: Enclave;
  let other: Enclave;
  let snapshot: unknown;

  before(async function () {
    this.timeout(120_000);
    fixture = await EnclaveFixture.start();
    [enclave, other] = [await fixture.startEnclave(), await fixture.startEnclave("another image")];
    await fixture.register(enclave, "https://127.0.0.1:1");
    await fixture.register(other, "https://tee.example.org");
  });

  after(() => fixture.stop());

  const send = (method: string, params: unknown[] = []): Promise<unknown> =>
    fixture.world.chain.provider.send(method, params);

  beforeEach(async () => {
    snapshot = await send("evm_snapshot");
  });

  afterEach(() => send("evm_revert", [snapshot]));

  const directory = (changes: Partial<EnclaveDirectoryOptions> = {}): EnclaveDirectory =>
    new EnclaveDirectory({
      provider: fixture.world.chain.provider,
      registry: fixture.registry,
      policy: { allowTestRoot: true },
      ...changes,
    });

  const now = (): number => Math.floor(Date.now() / 1000);
  const ids = async (by: EnclaveDirectory): Promise<string[]> =>
    (await by.list()).enclaves.map(({ teeId }) => teeId).sort();
  const both = (): string[] => [enclave.teeId, other.teeId].sort();

  async function refusedAs(code: string, changes: Partial<EnclaveDirectoryOptions>): Promise<void> {
    const { enclaves, refused } = await directory(changes).list();
    expect(enclaves).to.have.length(0);
    expect(refused.get(enclave.teeId)).to.include({ code });
  }

  it("registeredEnclave_isListed_asItsAttestationBoundIt", async () => {
    const { enclaves } = await directory().list();
    const listed = enclaves.find(({ teeId }) => teeId === enclave.teeId)!;
    const { attestedAt, liveUntil, heartbeatAt, ...bound } = listed;
    expect(bound).to.deep.equal({
      teeId: enclave.teeId,
      key: enclave.signer.address,
      operator: fixture.operator.address.toLowerCase(),
      payout: fixture.world.payout,
      endpoint: "https://127.0.0.1:1",
      signingKey: enclave.publicKeyDer,
      tlsCertificate: enclave.tlsCertificateDer,
      sealingKey: enclave.sealingPublicKey,
      pcrHash: pcrHashOf(enclave.measurements),
      root: TEST_ROOT,
      verifierInUse: true,
    });
    expect(heartbeatAt).to.equal(attestedAt);
    expect(liveUntil - attestedAt).to.equal(86_400);
  });

  it("testRoot_withoutLeave_isRefused", () => refusedAs("test_root", { policy: {} }));

  it("image_notAmongThoseAllowed_isRefused", async () => {
    const policy = { allowTestRoot: true, pcrHashes: [pcrHashOf(other.measurements)] };
    expect(await ids(directory({ policy }))).to.deep.equal([other.teeId]);
  });

  it("attestation_wornOutByOurClock_isRefused", () => refusedAs("not_live", { nowSeconds: () => now() + 86_401 }));

  it("heartbeat_staleByOurClock_isRefused", () => refusedAs("stale_heartbeat", { nowSeconds: () => now() + 1_900 }));

  it("otherType_hasNoEnclaves", async () => {
    expect(await ids(directory({ policy: { allowTestRoot: true, teeType: 1 } }))).to.deep.equal([]);
  });

  it("endpoint_changedToPlainHttp_isRefused", async () => {
    const [, { nodeId }] = await fixture.nodes.enclave(enclave.teeId);
    const own = fixture.nodes.connect(fixture.operator);
    await (await own.update(nodeId, fixture.world.payout, "http://127.0.0.1:1")).wait();
    const { refused } = await directory().list();
    expect(refused.get(enclave.teeId)).to.include({ code: "insecure_endpoint" });
  });

  describe("what ends on chain", () => {
    let known: EnclaveDirectory;

    beforeEach(async () => {
      known = directory({ minRefreshMs: 0 });
      expect(await ids(known)).to.deep.equal(both());
      expect(await known.isLive(enclave.teeId, BigInt(now()))).to.equal(true);
    });

    /** Only the other enclave is left, once the list is read again; of the one that ended nothing more is believed. */
    async function ended(): Promise<void> {
      expect(await ids(known)).to.deep.equal(both());
      known.suspect();
      expect(await ids(known)).to.deep.equal([other.teeId]);
      const { timestamp } = (await fixture.world.chain.provider.getBlock("latest"))!;
      expect(await known.isLive(enclave.teeId, BigInt(timestamp))).to.equal(false);
      expect(await known.isLive(enclave.teeId, BigInt(timestamp - 1))).to.equal(false);
    }

    it("revokedImage_endsItsEnclaves", async () => {
      await (await fixture.nodes.revokePCR(pcrHashOf(enclave.measurements), 0)).wait();
      await ended();
    });

    it("disabledEnclave_isEnded", async () => {
      await (await fixture.nodes.connect(fixture.operator).disableTEE(enclave.teeId)).wait();
      await ended();
    });

    it("removedVerifier_endsAll", async () => {
      await (await fixture.nodes.removeVerifier(0)).wait();
      known.suspect();
      expect(await ids(known)).to.deep.equal([]);
      expect(await known.isLive(enclave.teeId, BigInt(now()))).to.equal(false);
    });

    it("wornOutAttestation_endsAll", async () => {
      await send("evm_increaseTime", [86_401]);
      await send("evm_mine");
      known.suspect();
      expect(await ids(known)).to.deep.equal([]);
      expect(await known.isLive(enclave.teeId, BigInt(now()))).to.equal(false);
    });
  });

  describe("reading", () => {
    it("list_isReadOnce_untilItIsOldOrSuspect", async () => {
      const [patient, hasty] = [directory({ minRefreshMs: 0 }), directory({ refreshMs: 0 })];
      expect(await ids(patient)).to.deep.equal(both());
      expect(await ids(hasty)).to.deep.equal(both());
      await (await fixture.nodes.connect(fixture.operator).disableTEE(enclave.teeId)).wait();
      expect(await ids(patient)).to.deep.equal(both());
      expect(await ids(hasty)).to.deep.equal([other.teeId]);
      patient.suspect();
      expect(await ids(patient)).to.deep.equal([other.teeId]);
    });

    it("suspicions_doNotReadMoreOftenThanAllowed", async () => {
      const by = directory({ minRefreshMs: 60_000 });
      expect(await ids(by)).to.deep.equal(both());
      await (await fixture.nodes.connect(fixture.operator).disableTEE(enclave.teeId)).wait();
      by.suspect();
      expect(await ids(by)).to.deep.equal(both());
    });

    it("entry_thatWearsOutBetweenReadings_isReadAgain", async () => {
      let seconds = now();
      const by = directory({ minRefreshMs: 0, nowSeconds: () => seconds });
      expect(await ids(by)).to.deep.equal(both());
      seconds += 90_000;
      expect(await ids(by)).to.deep.equal([]);
    });
  });
});
