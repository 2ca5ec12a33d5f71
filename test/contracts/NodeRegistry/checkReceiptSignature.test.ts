import { expect } from "chai";
import { id, ZeroAddress } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { Mode, type Hex, type Receipt } from "../../../simulator/receipts/types.ts";
import { deployRegisteredEnclave, heartbeatOf } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { gasOfCall } from "../../support/gasOfCall.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

type State = Awaited<ReturnType<typeof deployRegisteredEnclave>>;

async function signed({ settlement, enclave, payer }: State, servedAt: number, mode: Mode = Mode.Tee) {
  const receipt: Receipt = {
    requestId: id("request") as Hex,
    modelId: id("model") as Hex,
    mode,
    inputHash: id("input") as Hex,
    outputHash: id("output") as Hex,
    payer: payer.address.toLowerCase() as Hex,
    fee: 10n ** 16n,
    servedAt: BigInt(servedAt),
  };
  const domain = { chainId: 31337n, verifyingContract: (await settlement.getAddress()) as Hex };
  const signature = enclave.signer.sign(new SettlementHasher(domain).receiptDigest(receipt));
  return { receipt, signature: { r: signature.slice(0, 66), vs: `0x${signature.slice(66)}` } };
}

describe("NodeRegistry.checkReceiptSignature", () => {
  const state = freshState(deployRegisteredEnclave);

  it("names the operator of an enclave's receipt", async () => {
    const stage = state();
    const { nodes, settlement, operator } = stage;
    const { receipt, signature } = await signed(stage, await latestTimestamp(stage));
    const domain = await settlement.domainSeparator();
    expect(await nodes.checkReceiptSignature(domain, receipt, signature)).to.equal(operator);
  });

  it("takes at most 7,000 gas once a heartbeat came after it, cold", async () => {
    const stage = state();
    const { nodes, settlement, enclave, connection } = stage;
    const at = await latestTimestamp(stage);
    await nextBlockAt(stage, at + 10);
    await nodes.heartbeat(enclave.teeId, at + 10, await heartbeatOf(stage, enclave, at + 10));
    const { receipt, signature } = await signed(stage, at);
    const data = nodes.interface.encodeFunctionData("checkReceiptSignature", [
      await settlement.domainSeparator(),
      receipt,
      signature,
    ]);
    expect(await gasOfCall(connection, { to: await nodes.getAddress(), data })).to.be.within(5_000, 7_000);
  });

  it("names nobody for another mode, domain, time or content", async () => {
    const stage = state();
    const { nodes, settlement, enclave, measurements } = stage;
    const at = Number((await nodes.signers(enclave.signer.address)).validFrom);
    const domain = await settlement.domainSeparator();
    const { receipt, signature } = await signed(stage, at);
    const vanilla = await signed(stage, at, Mode.Vanilla);
    const early = await signed(stage, at - 1);
    for (const [of, found] of [
      [domain, { receipt: { ...receipt, fee: receipt.fee + 1n }, signature }],
      [domain, vanilla],
      [domain, early],
      [id("another settlement"), { receipt, signature }],
      [domain, { receipt, signature: { ...signature, r: `0x${"00".repeat(32)}` } }],
    ] as const) {
      expect(await nodes.checkReceiptSignature(of, found.receipt, found.signature)).to.equal(ZeroAddress);
    }
    await nextBlockAt(stage, (await latestTimestamp(stage)) + 1);
    await nodes.revokePCR(pcrHashOf(measurements), 0);
    const late = await signed(stage, await latestTimestamp(stage));
    expect(await nodes.checkReceiptSignature(domain, late.receipt, late.signature)).to.equal(ZeroAddress);
    expect(await nodes.checkReceiptSignature(domain, receipt, signature)).not.to.equal(ZeroAddress);
  });
});
