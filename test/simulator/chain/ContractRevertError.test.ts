import { expect } from "chai";
import { AbiCoder, Interface, concat } from "ethers";

import { contractRevertOf, decodeRevert } from "../../../simulator/chain/ContractRevertError.ts";
import { classifyRpcError } from "../../../simulator/chain/rpcErrors.ts";
import type { RpcErrorKind } from "../../../simulator/chain/rpcErrors.ts";
import { NodeStaking__factory } from "../../../typechain-types/index.ts";

describe("ContractRevertError", () => {
  it("decodeRevert_errorOfOurs_namesItsArguments", () => {
    const data = NodeStaking__factory.createInterface().encodeErrorResult("TicketNotMature", [7n]);
    expect(decodeRevert(data)).to.deep.include({ errorName: "TicketNotMature", args: { releaseAt: 7n } });
  });

  it("decodeRevert_soliditysOwn_areErrorAndPanic", () => {
    const own = new Interface(["error Error(string)", "error Panic(uint256)"]);
    expect(decodeRevert(own.encodeErrorResult("Error", ["no"]))).to.deep.include({
      errorName: "Error",
      args: { reason: "no" },
    });
    expect(decodeRevert(own.encodeErrorResult("Panic", [0x11]))).to.deep.include({
      errorName: "Panic",
      args: { panicCode: 0x11n },
    });
  });

  for (const [what, data] of [
    ["nothing", "0x"],
    ["a selector of nobody", "0xdeadbeef"],
    [
      "a selector of ours with too little behind it",
      NodeStaking__factory.createInterface().encodeErrorResult("TicketNotMature", [7n]).slice(0, 20),
    ],
  ] as const) {
    it(`decodeRevert_${what}_isUnknownAndKeepsTheData`, () => {
      expect(decodeRevert(data)).to.deep.equal({ errorName: "unknown", args: {}, data });
    });
  }

  it("contractRevertOf_reasonThatLooksLikeANodesError_isStillARevert", () => {
    const reason = concat(["0x08c379a0", AbiCoder.defaultAbiCoder().encode(["string"], ["nonce too low"])]);
    const error = {
      code: "UNKNOWN_ERROR",
      error: { code: 3, message: "execution reverted: nonce too low", data: reason },
    };
    expect(contractRevertOf(error)).to.include({ errorName: "Error", code: "contract_revert" });
  });

  it("contractRevertOf_nodeIsBusy_isNone", () => {
    // As ethers reports any failed eth_call
    const error = {
      code: "CALL_EXCEPTION",
      message: "missing revert data",
      data: null,
      info: { error: { code: -32005, message: "rate limit exceeded" } },
    };
    expect(contractRevertOf(error)).to.equal(undefined);
    expect(classifyRpcError(error)).to.equal("unavailable");
  });
});

describe("classifyRpcError", () => {
  const wordings: [RpcErrorKind, string][] = [
    ["already_known", "already known"],
    ["already_known", "Known transaction: 0x12"],
    ["nonce_too_low", "nonce too low: next nonce 5, tx nonce 4"],
    [
      "nonce_too_high",
      "Nonce too high. Expected nonce to be 3 but got 9. Note that transactions can't be queued when automining.",
    ],
    ["replacement_underpriced", "replacement transaction underpriced"],
    ["fee_too_low", "transaction underpriced: tip needed 1000000, tip permitted 1"],
    ["fee_too_low", "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 5"],
    ["insufficient_funds", "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1"],
    ["insufficient_funds", "Sender doesn't have enough funds to send tx."],
    ["unavailable", "header not found"],
    ["reverted", "VM Exception while processing transaction: invalid opcode"],
    ["other", "intrinsic gas too low: gas 20000, minimum needed 21000"],
  ];
  for (const [kind, message] of wordings) {
    it(`${kind}_${message.slice(0, 40)}`, () => {
      expect(
        classifyRpcError({
          code: "UNKNOWN_ERROR",
          message: "could not coalesce error",
          error: { code: -32000, message },
        }),
      ).to.equal(kind);
    });
  }

  it("unreachable_codesOfNodeAndEthers", () => {
    for (const code of ["ECONNREFUSED", "ECONNRESET", "TIMEOUT", "SERVER_ERROR"]) {
      expect(classifyRpcError(Object.assign(new Error("x"), { code }))).to.equal("unreachable");
    }
  });
});
