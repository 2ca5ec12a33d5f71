import { expect } from "chai";
import { signHeartbeat } from "../../../../simulator/enclave/EnclaveKeeper.ts";
import { startEnclave } from "../../client/registeredEnclave.ts";
import { DataFixture } from "./dataFixture.ts";

describe("POST /heartbeat", function () {
  this.timeout(120_000);
  let fixture: DataFixture;

  before(async () => {
    fixture = await DataFixture.start();
  });

  after(() => fixture.stop());

  /** The chain's next second: blocks may share one, heartbeats may not. */
  async function nextSecond(): Promise<bigint> {
    await fixture.chain.provider.send("evm_increaseTime", [2]);
    await fixture.chain.provider.send("hardhat_mine", ["0x1"]);
    return BigInt(await fixture.now());
  }

  const signed = (
    timestamp: bigint,
    enclave = fixture.enclave,
    registry = fixture.registry,
  ): Record<string, string> => ({
    teeId: enclave.teeId,
    timestamp: timestamp.toString(),
    signature: signHeartbeat(enclave, { chainId: fixture.chain.chainId, verifyingContract: registry }, timestamp),
  });

  async function refused(body: object, status: number, error: string, token?: string): Promise<void> {
    const [gas, sent] = await spent();
    const response = await fixture.post("/heartbeat", body, token === undefined ? {} : { token });
    expect(response.status).to.equal(status);
    expect(await response.json()).to.include({ error });
    expect(await spent()).to.deep.equal([gas, sent]);
  }

  const spent = async (): Promise<[bigint, number]> => {
    const { address } = fixture.heartbeatSender;
    const { provider } = fixture.chain;
    return [await provider.getBalance(address), await provider.getTransactionCount(address)];
  };

  it("liveEnclavesHeartbeat_reachesTheRegistry", async () => {
    const timestamp = await nextSecond();
    const response = await fixture.post("/heartbeat", { ...signed(timestamp), contractAddress: fixture.registry });
    expect(response.status, await response.clone().text()).to.equal(200);
    const answer = (await response.json()) as { txHash: string };
    expect(answer).to.include({
      success: true,
      teeId: fixture.enclave.teeId,
      timestamp: timestamp.toString(),
      relayer: fixture.heartbeatSender.address.toLowerCase(),
      contract: fixture.registry,
    });
    expect((await fixture.chain.provider.getTransactionReceipt(answer.txHash))?.status).to.equal(1);
    const [, { heartbeatAt }] = await fixture.nodes.enclave(fixture.enclave.teeId);
    expect(heartbeatAt).to.equal(timestamp);
  });

  it("base64Signature_isReadToo", async () => {
    const { signature, ...rest } = signed(await nextSecond());
    const base64 = Buffer.from(signature!.slice(2), "hex").toString("base64");
    expect((await fixture.post("/heartbeat", { ...rest, signature: base64 })).status).to.equal(200);
  });

  it("sameHeartbeatManyTimesAtOnce_isSentOnce", async () => {
    const body = signed(await nextSecond());
    const [, before] = await spent();
    const responses = await Promise.all(Array.from({ length: 8 }, () => fixture.post("/heartbeat", body)));
    expect(responses.filter(({ status }) => status === 200)).to.have.length(1);
    expect((await spent())[1] - before).to.equal(1);
  });

  it("repeatedHeartbeat_isRefusedWithoutGas", async () => {
    const body = signed(await nextSecond());
    expect((await fixture.post("/heartbeat", body)).status).to.equal(200);
    await refused(body, 400, "timestamp_too_old");
  });

  it("stranger_isRefused", async () => refused(signed(await nextSecond()), 401, "unauthorized", "nobody"));

  it("otherContract_isNeverCalled", async () =>
    refused({ ...signed(await nextSecond()), contractAddress: fixture.chain.asset }, 400, "other_contract"));

  it("unknownEnclave_isRefusedWithoutGas", async () => {
    const stranger = await startEnclave({ application: "stranger" });
    await refused(signed(await nextSecond(), stranger), 404, "unknown_enclave");
  });

  it("signatureOfAnotherKey_isRefusedWithoutGas", async () => {
    const stranger = await startEnclave({ application: "stranger" });
    const timestamp = await nextSecond();
    const body = { ...signed(timestamp, stranger), teeId: fixture.enclave.teeId };
    await refused(body, 403, "invalid_signature");
  });

  it("signatureForAnotherRegistryOrTime_isRefusedWithoutGas", async () => {
    const timestamp = await nextSecond();
    await refused(signed(timestamp, fixture.enclave, `0x${"12".repeat(20)}`), 403, "invalid_signature");
    await refused({ ...signed(timestamp - 1n), timestamp: timestamp.toString() }, 403, "invalid_signature");
  });

  it("malleatedSignature_isRefusedWithoutGas", async () => {
    const body = signed(await nextSecond());
    const s = BigInt(`0x${body["signature"]!.slice(66, 130)}`);
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const v = body["signature"]!.endsWith("1b") ? "1c" : "1b";
    const high = `${body["signature"]!.slice(0, 66)}${(order - s).toString(16).padStart(64, "0")}${v}`;
    await refused({ ...body, signature: high }, 403, "invalid_signature");
  });

  it("futureAndAncientTimes_areRefusedWithoutGas", async () => {
    const now = await nextSecond();
    await refused(signed(now + 86_400n), 400, "timestamp_in_future");
    await refused(signed(now - 86_400n), 400, "timestamp_too_old");
  });

  it("malformed_isRefused", async () => {
    const good = signed(await nextSecond());
    for (const change of [
      { teeId: "0x12" },
      { timestamp: "soon" },
      { timestamp: "1".repeat(40) },
      { signature: "0x" },
    ]) {
      await refused({ ...good, ...change }, 400, "invalid_request");
    }
  });

  it("revokedEnclave_isRefusedWithoutGas", async () => {
    const timestamp = await nextSecond();
    await (await fixture.nodes.disableTEE(fixture.enclave.teeId)).wait();
    await refused(signed(timestamp), 409, "enclave_not_live");
  });
});
