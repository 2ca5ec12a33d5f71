import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { expect } from "chai";
import fc from "fast-check";
import { getAddress, hexlify, parseEther, randomBytes, Signature, toBigInt, Wallet } from "ethers";
import type { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { parseCharge } from "../../../simulator/facilitator/payment.ts";
import { QuickVerifier } from "../../../simulator/facilitator/quickVerify.ts";
import { stockFacilitator } from "../../../simulator/facilitator/stockFacilitator.ts";
import { FacilitatorWorld } from "./facilitatorWorld.ts";
import { craftedPayment, requirementsFor } from "./payments.ts";
import { approvePermit2, craftedPermit, permitRequirements } from "./permits.ts";
import { logger } from "./silentLogger.ts";

const PRICE = parseEther("0.25");
/** Has OPG and an allowance; has OPG alone; has an allowance alone; has too little of both. */
const RICH = 1;
const UNAPPROVED = 2;
const POOR = 3;
const SHORT = 4;
const PAYERS = [RICH, UNAPPROVED, POOR, SHORT];

type Method = "eip3009" | "permit2" | "upto";

/** What is wrong with a payment; several things may be. */
interface Mutation {
  method: Method;
  payer: number;
  amount: "same" | "less" | "more";
  to: "seller" | "stranger";
  /** Seconds from now. */
  validAfter: number;
  validBefore: number;
  signature: "good" | "highS" | "bareV" | "badV" | "flippedV" | "noise" | "zeroR" | "strangers";
  used: boolean;
  chainId: "same" | "other";
  spender: "proxy" | "other";
  facilitator: "ours" | "other";
  name: "same" | "other" | "none";
  acceptedScheme: "same" | "other";
  spelling: "checksummed" | "lower";
}

const one = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(usual) },
    ...others.map((value) => ({ weight: 1, arbitrary: fc.constant(value) })),
  );

const mutations: fc.Arbitrary<Mutation> = fc.record({
  method: fc.constantFrom<Method[]>("eip3009", "permit2", "upto"),
  payer: one(RICH, UNAPPROVED, POOR, SHORT),
  amount: one<Mutation["amount"]>("same", "less", "more"),
  to: one<Mutation["to"]>("seller", "stranger"),
  validAfter: one(-600, -30, 60),
  validBefore: one(3_600, 60, -1, -60),
  signature: one<Mutation["signature"]>("good", "highS", "bareV", "badV", "flippedV", "noise", "zeroR", "strangers"),
  used: one(false, true),
  chainId: one<Mutation["chainId"]>("same", "other"),
  spender: one<Mutation["spender"]>("proxy", "other"),
  facilitator: one<Mutation["facilitator"]>("ours", "other"),
  name: one<Mutation["name"]>("same", "other", "none"),
  acceptedScheme: one<Mutation["acceptedScheme"]>("same", "other"),
  spelling: fc.constantFrom<Mutation["spelling"][]>("checksummed", "lower"),
});

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

function mangled(signature: string, how: Mutation["signature"]): string {
  const { r, s, v, yParity } = Signature.from(signature);
  const join = (newR: string, newS: string, newV: number): string =>
    `${newR}${newS.slice(2)}${newV.toString(16).padStart(2, "0")}`;
  switch (how) {
    case "highS":
      return join(r, `0x${(ORDER - BigInt(s)).toString(16).padStart(64, "0")}`, v === 27 ? 28 : 27);
    case "bareV":
      return join(r, s, yParity);
    case "badV":
      return join(r, s, 29);
    case "flippedV":
      return join(r, s, v === 27 ? 28 : 27);
    case "noise":
      return `0x${"5a".repeat(64)}1b`;
    case "zeroR":
      return join(`0x${"00".repeat(32)}`, s, v);
    default:
      return signature;
  }
}

describe("QuickVerifier", () => {
  let world: FacilitatorWorld;
  let facilitator: Facilitator;
  let seller: string;
  /** Nonces that a payer has used, by method. */
  const usedNonces = new Map<string, bigint>();

  before(async () => {
    world = await FacilitatorWorld.start([RICH]);
    facilitator = await world.open();
    seller = getAddress(world.address(5));
    const { chain } = world;
    await (await chain.opg.transfer(chain.account(UNAPPROVED).address, parseEther("1000"))).wait();
    await approvePermit2(chain, chain.account(POOR));
    await (await chain.opg.transfer(chain.account(SHORT).address, PRICE - 1n)).wait();
    await approvePermit2(chain, chain.account(SHORT), PRICE - 2n);
    for (const method of ["eip3009", "permit2", "upto"] as const) {
      const nonce = toBigInt(randomBytes(32));
      const terms = termsOf(method);
      const payload = await signed(method, world.chain.account(RICH), terms, { nonce });
      expect(await facilitator.settle(payload, terms)).to.include({ success: true });
      usedNonces.set(method, nonce);
    }
  });

  after(() => world.stop());

  const termsOf = (method: Method): PaymentRequirements =>
    method === "eip3009"
      ? requirementsFor(world.chain, seller, PRICE)
      : permitRequirements(world.chain, seller, PRICE, method === "upto" ? world.chain.account(9).address : undefined);

  interface Signed {
    nonce?: bigint;
    to?: string;
    validAfter?: bigint;
    validBefore?: bigint;
    chainId?: bigint;
    spender?: string;
    facilitator?: string;
  }

  function signed(
    method: Method,
    payer: Wallet,
    terms: PaymentRequirements,
    { nonce = toBigInt(randomBytes(32)), validBefore, spender, facilitator: named, chainId, ...rest }: Signed,
  ): Promise<PaymentPayload> {
    const { chain } = world;
    if (method === "eip3009") {
      const on = chainId === undefined ? chain : { ...chain, chainId };
      const bytes = `0x${nonce.toString(16).padStart(64, "0")}`;
      return craftedPayment(on, payer, terms, {
        ...rest,
        nonce: bytes,
        ...(validBefore !== undefined && { validBefore }),
      });
    }
    return craftedPermit(chain, payer, terms, {
      ...rest,
      nonce,
      ...(validBefore !== undefined && { deadline: validBefore }),
      ...(spender !== undefined && { spender }),
      ...(named !== undefined && { facilitator: named }),
      ...(chainId !== undefined && { chainId }),
    });
  }

  async function make(mutation: Mutation): Promise<{ payload: PaymentPayload; terms: PaymentRequirements }> {
    const { method } = mutation;
    const now = BigInt(Math.floor(Date.now() / 1000));
    const asked = termsOf(method);
    const stranger = getAddress(hexlify(randomBytes(20)));
    const offset = { same: 0n, less: -1n, more: 1n }[mutation.amount];
    const signedTerms = { ...asked, amount: (PRICE + offset).toString() };
    const signer = mutation.signature === "strangers" ? Wallet.createRandom() : world.chain.account(mutation.payer);
    const payload = await signed(method, signer as Wallet, signedTerms, {
      validAfter: now + BigInt(mutation.validAfter),
      validBefore: now + BigInt(mutation.validBefore),
      ...(mutation.to === "stranger" && { to: stranger }),
      ...(mutation.used && { nonce: usedNonces.get(method)! }),
      ...(mutation.chainId === "other" && { chainId: 8453n }),
      ...(mutation.spender === "other" && { spender: stranger }),
      ...(mutation.facilitator === "other" && { facilitator: stranger }),
    });
    const inner = payload.payload as {
      signature: string;
      authorization?: { from: string };
      permit2Authorization?: { from: string };
    };
    inner.signature = mangled(inner.signature, mutation.signature);
    const { address } = world.chain.account(mutation.payer);
    (inner.authorization ?? inner.permit2Authorization)!.from =
      mutation.spelling === "lower" ? address.toLowerCase() : address;
    const extra = { ...asked.extra };
    if (mutation.name === "other") extra.name = "OtherGradient";
    if (mutation.name === "none") delete extra.name;
    const terms = { ...asked, extra };
    const scheme = mutation.acceptedScheme === "same" ? terms.scheme : terms.scheme === "upto" ? "exact" : "upto";
    return { payload: { ...payload, accepted: { ...terms, scheme } }, terms };
  }

  it("verify_mutatedPayments_givesTheVerdictsOfThePackages", async function () {
    this.timeout(180_000);
    const { chain } = world;
    const options = { network: facilitator.network, address: chain.account(9).address as `0x${string}` };
    const stock = await stockFacilitator({
      ...options,
      provider: chain.provider,
      receiverAuthorizer: undefined,
      logger,
    });
    const quick = new QuickVerifier({
      provider: chain.provider,
      chainId: chain.chainId,
      facilitator: world.address(9),
      tokens: [chain.asset],
    });
    const reasons = new Map<string, number>();
    let unsure = 0;
    await fc.assert(
      fc.asyncProperty(mutations, async (mutation) => {
        const { payload, terms } = await make(mutation);
        let charge;
        try {
          charge = parseCharge(payload, terms);
        } catch {
          // no payment at all: neither is asked
          return;
        }
        const expected = await stock.verify(charge.payload, charge.requirements);
        const verdict = await quick.verify(charge, charge.requirements);
        if (verdict === undefined) {
          unsure++;
          return;
        }
        const { isValid, invalidReason, payer } = expected;
        expect(verdict, JSON.stringify(mutation)).to.deep.equal({
          isValid,
          payer,
          ...(invalidReason !== undefined && { invalidReason }),
        });
        const reason = `${mutation.method} ${invalidReason ?? "valid"}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }),
      { numRuns: 600, seed: 4 },
    );
    expect(reasons.size, [...reasons.keys()].join(", ")).to.be.greaterThan(20);
    expect(unsure, "left to the packages").to.be.lessThan(200);
  });

  it("verify_payerThatIsAContract_isLeftToThePackages", async () => {
    const { chain } = world;
    const account = Wallet.createRandom();
    await (await chain.opg.transfer(account.address, parseEther("1"))).wait();
    await chain.provider.send("hardhat_setCode", [account.address, "0x600160005260206000f3"]);
    const quick = new QuickVerifier({
      provider: chain.provider,
      chainId: chain.chainId,
      facilitator: world.address(9),
      tokens: [chain.asset],
    });
    for (const method of ["eip3009", "permit2", "upto"] as const) {
      const terms = termsOf(method);
      const payload = await signed(method, new Wallet(account.privateKey), terms, {});
      const charge = parseCharge(payload, terms);
      expect(await quick.verify(charge, charge.requirements)).to.equal(undefined);
    }
  });

  it("verify_manyAtOnce_asksTheNodeOnceOrTwice", async () => {
    const { chain } = world;
    let calls = 0;
    const provider = new Proxy(chain.provider, {
      get: (target, name): unknown => {
        if (name === "call") calls++;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const quick = new QuickVerifier({
      provider,
      chainId: chain.chainId,
      facilitator: world.address(9),
      tokens: [chain.asset],
    });
    const terms = termsOf("upto");
    const payloads = await Promise.all(
      Array.from({ length: 40 }, () => signed("upto", chain.account(RICH), terms, {})),
    );
    const charges = payloads.map((payload) => parseCharge(payload, terms));
    const verify = async (): Promise<void> => {
      const verdicts = await Promise.all(charges.map((charge) => quick.verify(charge, charge.requirements)));
      for (const verdict of verdicts) expect(verdict).to.include({ isValid: true });
    };
    await verify();
    expect(calls).to.be.lessThan(3);
    const before = calls;
    await verify();
    expect(calls, "remembered").to.equal(before);
  });

  for (const method of ["eip3009", "permit2", "upto"] as const) {
    it(`verify_${method}SettledAMomentAgo_isRefused`, async () => {
      const own = await world.open({ account: 8, plainTokens: [world.chain.asset] });
      const facilitatorAddress = world.chain.account(8).address;
      const terms =
        method === "upto" ? permitRequirements(world.chain, seller, PRICE, facilitatorAddress) : termsOf(method);
      const payload = await signed(method, world.chain.account(RICH), terms, {});
      expect(await own.verify(payload, terms)).to.include({ isValid: true });
      expect(await own.settle(payload, terms)).to.include({ success: true });
      expect(await own.verify(payload, terms)).to.include({ isValid: false });
      await world.close(own);
    });
  }

  it("verify_refusedByWhatIsRemembered_looksAgain", async () => {
    const { chain } = world;
    const quick = new QuickVerifier({
      provider: chain.provider,
      chainId: chain.chainId,
      facilitator: world.address(9),
      tokens: [chain.asset],
      cacheMs: 3_600_000,
    });
    const payer = chain.account(6);
    const terms = termsOf("upto");
    const charge = parseCharge(await signed("upto", payer, terms, {}), terms);
    const ask = async (): Promise<unknown> => (await quick.verify(charge, charge.requirements))?.invalidReason;
    expect(await ask()).to.equal("permit2_insufficient_balance");
    await (await chain.opg.transfer(payer.address, PRICE)).wait();
    await approvePermit2(chain, payer);
    expect(await ask()).to.equal(undefined);
    expect(PAYERS).to.not.include(6);
  });
});
