import { expect } from "chai";
import { NoEnclaveError } from "../../../simulator/client/EnclaveError.ts";
import { EnclaveSession } from "../../../simulator/client/EnclaveSession.ts";
import type { RegisteredEnclave } from "../../../simulator/client/EnclavePolicy.ts";
import type { EnclaveFetchOptions } from "../../../simulator/client/EnclaveFetch.ts";
import { OpenGradientClient } from "../../../simulator/client/OpenGradientClient.ts";
import { kindOf, readRequest } from "../../../simulator/client/OutgoingRequest.ts";
import { OnChainSignerDirectory } from "../../../simulator/client/SignerDirectory.ts";
import { LIQUIDATION_RISK_ID } from "../../../simulator/models/liquidationRisk.ts";
import { Mode, signedReceiptSchema } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { chat } from "../gateway/gatewayFixture.ts";
import { EnclaveFixture, type OpenedEnclave } from "./enclaveFixture.ts";
import { teeFields } from "./EnclaveEndpoint.ts";

describe("OpenGradientClient of enclaves", () => {
  let fixture: EnclaveFixture;
  let opened: OpenedEnclave;
  const clients: { close(): Promise<void> }[] = [];
  const positions = [[0.72, 0.8, 0.9, 0.01, -0.2, 0.06, 4.4, 21]];

  before(async function () {
    this.timeout(120_000);
    fixture = await EnclaveFixture.start();
    opened = await fixture.open();
  });

  afterEach(async () => {
    opened.endpoint.lie = undefined;
    for (const client of clients.splice(0)) await client.close();
  });

  after(() => fixture.stop());

  function client(changes: Partial<EnclaveFetchOptions> = {}): OpenGradientClient {
    const made = new OpenGradientClient(fixture.options(changes));
    clients.push(made);
    return made;
  }

  it("infer_tensors_areVerifiedByBothSignatures", async () => {
    const by = client();
    const { outputs, receipt } = await by.infer(LIQUIDATION_RISK_ID, { positions });
    expect(outputs).to.have.property("risk");
    expect(receipt.signer).to.equal(opened.enclave.signer.address);
    expect(receipt.signed.receipt.mode).to.equal(Mode.Tee);
    expect(by.receipts).to.have.length(1);
  });

  it("infer_tensorsWithAStatementOfTheReceiptsHashes_areRefused", async () => {
    // of tensors OpenGradient's statement has hashes of its own
    opened.endpoint.lie = async (answer) => {
      const { receipt } = signedReceiptSchema.parse(answer.opengradient?.receipt);
      return { ...answer, ...(await teeFields(opened.enclave, receipt)) };
    };
    expect(await rejection(client().infer(LIQUIDATION_RISK_ID, { positions }))).to.include({
      code: "tee_hash_mismatch",
    });
  });

  it("infer_tensorsChangedAfterSigning_areRefused", async () => {
    opened.endpoint.lie = (answer) => ({ ...answer, outputs: { risk: [0.01] } });
    expect(await rejection(client().infer(LIQUIDATION_RISK_ID, { positions }))).to.include({ code: "output_mismatch" });
  });

  it("enclavesNobodyVouchesFor_areNotAsked", async () => {
    const error = await rejection(client({ policy: {} }).infer(LIQUIDATION_RISK_ID, { positions }));
    expect(error).to.be.instanceOf(NoEnclaveError);
    expect((error as NoEnclaveError).refusals.get(opened.enclave.teeId)).to.include({ code: "test_root" });
  });

  it("signersOnChain_knowAnEnclavesKey_inModeTeeOnly", async () => {
    const signers = new OnChainSignerDirectory(fixture.world.chain.provider, fixture.registry);
    const { address } = opened.enclave.signer;
    const [, { attestedAt, liveUntil }] = await fixture.nodes.enclave(opened.enclave.teeId);
    const operator = fixture.operator.address.toLowerCase();
    expect(await signers.operatorOf(address, Mode.Tee, attestedAt)).to.equal(operator);
    expect(await signers.operatorOf(address, Mode.Tee, attestedAt - 1n)).to.equal(undefined);
    expect(await signers.operatorOf(address, Mode.Tee, liveUntil)).to.equal(undefined);
    expect(await signers.operatorOf(address, Mode.Vanilla, attestedAt)).to.equal(undefined);
  });

  describe("a registry that names another key", () => {
    /** Asks the enclave as if it had been registered with `changes`. */
    async function askAs(changes: Partial<RegisteredEnclave>, attest: "registry" | "fresh"): Promise<string> {
      const { directory } = client().enclaves!;
      const entry = (await directory.list()).enclaves.find(({ teeId }) => teeId === opened.enclave.teeId)!;
      const session = new EnclaveSession({ ...entry, ...changes }, { ...fixture.options(), directory, attest });
      clients.push(session);
      const request = new Request(`${opened.endpoint.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(chat("who are you")),
      });
      const response = await session.answer(await readRequest(kindOf(request)!, request), () => undefined);
      return response.text();
    }

    it("receiptKey_isFoundOut_byTheDocumentBeforePaying_orByTheReceipt", async () => {
      const { signer } = await fixture.startEnclave();
      const { paid } = opened.endpoint;
      expect(await rejection(askAs({ key: signer.address }, "fresh"))).to.include({ code: "key_mismatch" });
      expect(opened.endpoint.paid).to.equal(paid);
      expect(await rejection(askAs({ key: signer.address }, "registry"))).to.include({ code: "unknown_signer" });
    });

    it("rsaKey_isFoundOut_byTheDocumentBeforePaying_orByTheStatement", async () => {
      const { publicKeyDer: signingKey } = await fixture.startEnclave();
      const { paid } = opened.endpoint;
      expect(await rejection(askAs({ signingKey }, "fresh"))).to.include({ code: "key_mismatch" });
      expect(opened.endpoint.paid).to.equal(paid);
      expect(await rejection(askAs({ signingKey }, "registry"))).to.include({ code: "tee_id_mismatch" });
    });

    it("certificate_isFoundOut_byTheConnection", async () => {
      const { tlsCertificateDer: tlsCertificate } = await fixture.startEnclave();
      const { requests } = opened.endpoint;
      expect(await rejection(askAs({ tlsCertificate }, "registry"))).to.include({ code: "certificate_mismatch" });
      expect(opened.endpoint.requests).to.equal(requests);
    });

    it("image_isFoundOut_byTheDocument", async () => {
      const pcrHash = `0x${"ab".repeat(32)}` as const;
      expect(await rejection(askAs({ pcrHash }, "fresh"))).to.include({ code: "image_mismatch" });
    });

    it("nothingChanged_isAnswered", async () => {
      expect(await askAs({}, "fresh")).to.contain("who are you");
    });
  });
});
