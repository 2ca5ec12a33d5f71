import { expect } from "chai";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import { checkX402Contracts, X402ContractsMissingError } from "../../../../simulator/chain/x402/checkX402Contracts.ts";
import { installLocalX402 } from "../../../../simulator/chain/x402/installLocalX402.ts";
import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import { rawProvider } from "../../../contracts/local/localStage.ts";
import { rejection } from "../../../support/rejection.ts";

const ALL = ["exact", "exact-permit2", "upto", "batch-settlement"] as const;

describe("checkX402Contracts", () => {
  let connection: NetworkConnection;

  beforeEach(async () => {
    connection = await network.create();
  });

  afterEach(() => connection.close());

  const provider = () => connection.ethers.provider as unknown as Parameters<typeof checkX402Contracts>[0];

  it("check_allThere_passes", async () => {
    await installLocalX402({ provider: rawProvider(connection) });
    await checkX402Contracts(provider(), ALL);
  });

  it("check_someMissing_saysWhichAndForWhat", async () => {
    await installLocalX402({ provider: rawProvider(connection) });
    for (const address of [x402Addresses.permit2, x402Addresses.batchSettlement]) {
      await connection.provider.request({ method: "hardhat_setCode", params: [address, "0x"] });
    }
    await checkX402Contracts(provider(), ["exact"]);
    const error = (await rejection(checkX402Contracts(provider(), ALL))) as X402ContractsMissingError;
    expect(error).to.be.instanceOf(X402ContractsMissingError);
    expect(error.missing).to.have.members(["permit2", "batchSettlement"]);
    expect(error.message)
      .to.include("Chain 31337")
      .and.include(`permit2 at ${x402Addresses.permit2}, for exact-permit2, upto, batch-settlement`)
      .and.include(`batchSettlement at ${x402Addresses.batchSettlement}, for batch-settlement`);
  });

  it("check_bareChain_missesWhatTheSchemesNeed", async () => {
    const error = (await rejection(checkX402Contracts(provider(), ["upto"]))) as X402ContractsMissingError;
    expect(error.missing).to.have.members(["multicall3", "permit2", "uptoPermit2Proxy"]);
  });
});
