import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HTTPFacilitatorClient } from "@x402/core/server";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { expect } from "chai";
import { parseEther, Signature } from "ethers";
import { pino } from "pino";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { FacilitatorServer } from "../../../simulator/facilitator/http/FacilitatorServer.ts";
import { startLocalChain, type LocalChain } from "./localChain.ts";
import { craftedPayment, requirementsFor, stockPayment, type AuthorizationFields } from "./payments.ts";

const logger = pino({ level: "silent" });
const PRICE = parseEther("0.25");

describe("Facilitator", () => {
  let chain: LocalChain;
  let directory: string;
  let facilitator: Facilitator;
  let requirements: PaymentRequirements;

  before(async () => {
    chain = await startLocalChain();
    directory = mkdtempSync(join(tmpdir(), "facilitator-"));
    facilitator = new Facilitator({
      chain,
      signer: chain.account(9),
      outboxFile: join(directory, "outbox.db"),
      logger,
      settler: { minRetryMs: 10 },
    });
    await facilitator.start();
    await chain.opg.transfer(chain.account(1).address, parseEther("1000"));
    requirements = requirementsFor(chain, chain.account(5).address, PRICE);
  });

  after(async () => {
    await facilitator.stop();
    await chain.stop();
    rmSync(directory, { recursive: true });
  });

  const payment = (): Promise<PaymentPayload> => stockPayment(chain, chain.account(1), requirements);
  const received = (): Promise<bigint> => chain.opg.balanceOf(requirements.payTo);

  it("settle_validPayment_movesTheMoneyOnce", async () => {
    const payload = await payment();
    expect(await facilitator.verify(payload, requirements)).to.include({ isValid: true });
    const before = await received();
    const results = await Promise.all([
      facilitator.settle(payload, requirements),
      facilitator.settle(payload, requirements),
    ]);
    results.push(await facilitator.settle(payload, requirements));
    for (const result of results) expect(result).to.include({ success: true, amount: PRICE.toString() });
    expect(new Set(results.map(({ transaction }) => transaction)).size).to.equal(1);
    expect((await received()) - before).to.equal(PRICE);
  });

  it("settle_manyAtOnce_usesEachAccountNumberOnce", async () => {
    const payloads = await Promise.all(Array.from({ length: 20 }, payment));
    const before = await received();
    const results = await Promise.all(payloads.map((payload) => facilitator.settle(payload, requirements)));
    expect(new Set(results.map(({ transaction }) => transaction)).size).to.equal(20);
    expect((await received()) - before).to.equal(20n * PRICE);
  });

  it("settle_payerWithoutMoney_failsAndNeverChargesLater", async () => {
    const pauper = chain.account(2);
    const payload = await stockPayment(chain, pauper, requirements);
    expect(await facilitator.verify(payload, requirements)).to.include({
      isValid: false,
      invalidReason: "invalid_exact_evm_insufficient_balance",
    });
    expect(await facilitator.settle(payload, requirements)).to.include({ success: false, transaction: "" });
    await chain.opg.transfer(pauper.address, PRICE);
    expect(await facilitator.store.counts()).to.include({ pending: 0, submitted: 0 });
    expect(await chain.opg.balanceOf(pauper.address)).to.equal(PRICE);
    // the payer may try the same payment again, and now it goes through
    expect(await facilitator.settle(payload, requirements)).to.include({ success: true });
  });

  describe("verify", () => {
    const now = BigInt(Math.floor(Date.now() / 1000));
    const crafted = (changes: Partial<AuthorizationFields>): Promise<PaymentPayload> =>
      craftedPayment(chain, chain.account(1), requirements, changes);
    const cases: [string, string, () => Promise<PaymentPayload>][] = [
      ["otherAmount", "invalid_exact_evm_payload_authorization_value_mismatch", () => crafted({ value: PRICE - 1n })],
      ["otherRecipient", "invalid_exact_evm_recipient_mismatch", () => crafted({ to: chain.account(6).address })],
      ["expired", "invalid_exact_evm_payload_authorization_valid_before", () => crafted({ validBefore: now - 1n })],
      ["notYetValid", "invalid_exact_evm_payload_authorization_valid_after", () => crafted({ validAfter: now + 900n })],
      [
        "blockNumbersAsTimes",
        "invalid_exact_evm_payload_authorization_valid_after",
        // OpenZeppelin reads the window as block numbers when both bounds carry bit 47
        () => crafted({ validAfter: 1n << 47n, validBefore: (1n << 47n) + 1_000_000n }),
      ],
      [
        "otherNetwork",
        "invalid_payload",
        async () => ({ ...(await payment()), accepted: { ...requirements, network: "eip155:8453" } }),
      ],
      [
        "otherToken",
        "invalid_payload",
        async () => ({ ...(await payment()), accepted: { ...requirements, asset: chain.account(7).address } }),
      ],
      [
        "somebodyElsesSignature",
        "invalid_exact_evm_signature",
        async () => {
          const [mine, other] = [await payment(), await stockPayment(chain, chain.account(3), requirements)];
          return { ...mine, payload: { ...mine.payload, signature: other.payload.signature } };
        },
      ],
      [
        "highS",
        "invalid_exact_evm_transaction_simulation_failed",
        async () => {
          const mine = await payment();
          const { r, s, v } = Signature.from(mine.payload.signature as string);
          const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
          const high = (order - BigInt(s)).toString(16).padStart(64, "0");
          return { ...mine, payload: { ...mine.payload, signature: `${r}${high}${v === 27 ? "1c" : "1b"}` } };
        },
      ],
      [
        "compactSignature",
        "invalid_payload",
        async () => {
          const mine = await payment();
          const { compactSerialized } = Signature.from(mine.payload.signature as string);
          return { ...mine, payload: { ...mine.payload, signature: compactSerialized } };
        },
      ],
      [
        "usedNonce",
        "invalid_exact_evm_nonce_already_used",
        async () => {
          const mine = await payment();
          await facilitator.settle(mine, requirements);
          return mine;
        },
      ],
      ["permit2", "invalid_payload", async () => ({ ...(await payment()), payload: { permit2Authorization: {} } })],
    ];
    it("verify_chainThatIsNotServed_isRefused", async () => {
      const elsewhere: PaymentRequirements = { ...requirements, network: "eip155:8453" };
      const verdict = await facilitator.verify({ ...(await payment()), accepted: elsewhere }, elsewhere);
      expect(verdict).to.include({ isValid: false, invalidReason: "unsupported_network" });
    });

    for (const [name, reason, make] of cases) {
      it(`verify_${name}_isRefused`, async () => {
        const payload = await make();
        const verdict = await facilitator.verify(payload, requirements);
        expect(verdict).to.include({ isValid: false, invalidReason: reason });
        const before = await received();
        const settled = await facilitator.settle(payload, requirements);
        if (name !== "usedNonce") expect(settled.success).to.equal(false);
        expect(await received()).to.equal(before);
      });
    }
  });

  describe("over HTTP", () => {
    let server: FacilitatorServer;
    let client: HTTPFacilitatorClient;

    before(async () => {
      server = new FacilitatorServer({ facilitator, logger, token: "secret" });
      await server.start();
      const headers = { Authorization: "Bearer secret" };
      client = new HTTPFacilitatorClient({
        url: server.url,
        createAuthHeaders: () => Promise.resolve({ verify: headers, settle: headers }),
      });
    });

    after(() => server.stop());

    it("stockClient_validPayment_isVerifiedAndSettled", async () => {
      const { kinds, extensions, signers } = await client.getSupported();
      const facilitatorAddress = chain.account(9).address;
      expect(kinds).to.deep.equal([
        { x402Version: 2, scheme: "exact", network: "eip155:31337" },
        { x402Version: 2, scheme: "upto", network: "eip155:31337", extra: { facilitatorAddress } },
        { x402Version: 2, scheme: "batch-settlement", network: "eip155:31337" },
      ]);
      expect(extensions).to.deep.equal(["eip2612GasSponsoring", "erc20ApprovalGasSponsoring"]);
      expect(signers).to.deep.equal({ "eip155:*": [facilitatorAddress] });
      const payload = await payment();
      expect(await client.verify(payload, requirements)).to.include({ isValid: true, payer: chain.account(1).address });
      const result = await client.settle(payload, requirements);
      expect(result.success).to.equal(true);
      expect((await chain.provider.getTransactionReceipt(result.transaction))?.status).to.equal(1);
    });

    it("stockClient_badPayment_getsTheReason", async () => {
      const payload = await craftedPayment(chain, chain.account(1), requirements, { value: 1n });
      const reason = "invalid_exact_evm_payload_authorization_value_mismatch";
      expect(await client.verify(payload, requirements)).to.include({ isValid: false, invalidReason: reason });
      expect(await client.settle(payload, requirements)).to.include({ success: false, errorReason: reason });
      const malformed = { ...payload, payload: {} };
      expect(await client.verify(malformed, requirements)).to.include({ invalidReason: "invalid_payload" });
    });

    it("post_withoutTokenOrEnvelope_isRefused", async () => {
      const post = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${server.url}/settle`, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: "{}",
        });
      expect((await post({})).status).to.equal(401);
      expect((await post({ authorization: "Bearer secret" })).status).to.equal(400);
    });
  });
});
