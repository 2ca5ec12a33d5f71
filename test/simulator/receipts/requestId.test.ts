import { expect } from "chai";
import { AbiCoder, keccak256 } from "ethers";
import {
  channelScope,
  PERMIT2_SCOPE,
  requestId,
  requestIdForPayment,
  sessionScope,
} from "../../../simulator/receipts/requestId.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

const abi = AbiCoder.defaultAbiCoder();
const domain = { chainId: 8453n, verifyingContract: `0x${"01".repeat(20)}` } as const;
const operator: Hex = `0x${"02".repeat(20)}`;
const payment = {
  asset: `0x${"03".repeat(20)}`,
  payer: `0x${"04".repeat(20)}`,
  nonce: `0x${"05".repeat(32)}`,
} as const;

describe("requestIdForPayment", () => {
  it("is keccak256 of the ABI encoding", () => {
    const unique = keccak256(
      abi.encode(["address", "address", "bytes32"], [payment.asset, payment.payer, payment.nonce]),
    ) as Hex;
    const expected = keccak256(
      abi.encode(
        ["uint256", "address", "address", "bytes32"],
        [domain.chainId, domain.verifyingContract, operator, unique],
      ),
    );
    expect(requestId(domain, operator, unique)).to.equal(expected);
    expect(requestIdForPayment(domain, operator, payment)).to.equal(expected);
  });

  it("differs between operators, payers, nonces and chains", () => {
    const ids = [
      requestIdForPayment(domain, operator, payment),
      requestIdForPayment(domain, payment.payer, payment),
      requestIdForPayment(domain, operator, { ...payment, payer: operator }),
      requestIdForPayment(domain, operator, { ...payment, nonce: `0x${"06".repeat(32)}` }),
      requestIdForPayment({ ...domain, chainId: 1n }, operator, payment),
    ];
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it("has one word more for permits and channels, whose scope tells their requests apart", () => {
    const scope = sessionScope(`0x${"07".repeat(32)}`);
    const unique = keccak256(
      abi.encode(["address", "address", "bytes32", "bytes32"], [payment.asset, payment.payer, payment.nonce, scope]),
    ) as Hex;
    expect(requestIdForPayment(domain, operator, { ...payment, scope })).to.equal(requestId(domain, operator, unique));
  });

  it("differs between what a payer could pass off as the same", () => {
    const requestHash: Hex = `0x${"07".repeat(32)}`;
    const scopes = [
      PERMIT2_SCOPE,
      requestHash,
      sessionScope(requestHash),
      channelScope(1n, requestHash),
      channelScope(2n, requestHash),
    ];
    const ids = scopes.map((scope) => requestIdForPayment(domain, operator, { ...payment, scope }));
    expect(new Set([...ids, requestIdForPayment(domain, operator, payment)]).size).to.equal(scopes.length + 1);
  });
});
