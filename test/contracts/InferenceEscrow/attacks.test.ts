import { expect } from "chai";
import { ethers } from "ethers";

import { ERC3009_TYPES, malleableTwin, signAuthorization } from "../../support/authorizations.ts";
import {
  answerTo,
  deployEscrowStage,
  fulfil,
  lockByAuthorization,
  lockedRequest,
  LockStatus,
  requestOf,
  signReceipt,
  type EscrowRequest,
} from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { addKey } from "../../support/nodes.ts";
import { domainOf, latestTimestamp, opgWei, registerNode, testKey } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";
import { InferenceEscrow__factory } from "../../../typechain-types/index.ts";

describe("InferenceEscrow attacks", () => {
  const state = freshState(deployEscrowStage);

  describe("the payer's authorization", () => {
    it("bentToAnotherRequest_reverts", async () => {
      const stage = state();
      const signed = await requestOf(stage);
      const nonce = await stage.escrow.requestIdOf(signed);
      const bent: Partial<EscrowRequest>[] = [
        { operator: stage.otherOperator.address },
        { inputHash: ethers.id("another input") },
        { inputBlobId: ethers.id("another blob") },
        { deadline: signed.deadline + 1n },
        { mode: 2 },
        { salt: ethers.id("another salt") },
      ];
      for (const change of bent) {
        await expect(lockByAuthorization(stage, { ...signed, ...change }, { nonce })).to.be.revertedWithCustomError(
          stage.opg,
          "ERC3009InvalidSignature",
        );
      }
    });

    it("broughtToTheTokenByAThief_reverts", async () => {
      const stage = state();
      const request = await requestOf(stage);
      const authorization = {
        from: request.payer,
        to: await stage.escrow.getAddress(),
        value: request.maxFee,
        validAfter: 0n,
        validBefore: 2n ** 40n,
        nonce: await stage.escrow.requestIdOf(request),
      };
      const { v, r, s } = await signAuthorization(stage.opg, stage.payer, "ReceiveWithAuthorization", authorization);
      const { from, to, value, nonce } = authorization;
      const token = stage.opg.connect(stage.stranger);
      await expect(token.receiveWithAuthorization(from, to, value, 0, 2n ** 40n, nonce, v, r, s))
        .to.be.revertedWithCustomError(stage.opg, "ERC20InvalidReceiver")
        .withArgs(to);
      // the money cannot be pushed into the escrow either, where nothing would account for it
      await expect(
        token.transferWithAuthorization(from, to, value, 0, 2n ** 40n, nonce, v, r, s),
      ).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
    });

    it("inAnotherEscrow_reverts", async () => {
      const stage = state();
      const { opg, nodes, models, zkml, escrow, owner } = stage;
      const twin = await new InferenceEscrow__factory(owner).deploy(
        opg,
        nodes,
        models,
        zkml,
        await escrow.receiptDomain(),
        owner,
        0,
      );
      const request = await requestOf(stage);
      const signature = await signAuthorization(opg, stage.payer, "ReceiveWithAuthorization", {
        from: request.payer,
        to: await escrow.getAddress(),
        value: request.maxFee,
        validAfter: 0n,
        validBefore: 2n ** 40n,
        nonce: await escrow.requestIdOf(request),
      });
      const { v, r, s } = signature;
      await expect(twin.lockWithAuthorization(request, 0, 2n ** 40n, v, r, s)).to.be.revertedWithCustomError(
        opg,
        "ERC3009InvalidSignature",
      );
    });

    it("malleableTwin_reverts", async () => {
      const stage = state();
      const request = await requestOf(stage);
      const twin = malleableTwin(
        await signAuthorization(stage.opg, stage.payer, "ReceiveWithAuthorization", {
          from: request.payer,
          to: await stage.escrow.getAddress(),
          value: request.maxFee,
          validAfter: 0n,
          validBefore: 2n ** 40n,
          nonce: await stage.escrow.requestIdOf(request),
        }),
      );
      await expect(
        stage.escrow.lockWithAuthorization(request, 0, 2n ** 40n, twin.v, twin.r, twin.s),
      ).to.be.revertedWithCustomError(stage.opg, "ECDSAInvalidSignatureS");
    });

    it("cancelledByThePayer_locksNothing", async () => {
      const stage = state();
      const { opg, escrow, payer } = stage;
      const request = await requestOf(stage);
      const nonce = await escrow.requestIdOf(request);
      const types = { CancelAuthorization: ERC3009_TYPES.CancelAuthorization };
      const message = { authorizer: payer.address, nonce };
      const { v, r, s } = ethers.Signature.from(await payer.signTypedData(await domainOf(opg), types, message));
      await opg.cancelAuthorization(payer, nonce, v, r, s);
      await expect(lockByAuthorization(stage, request))
        .to.be.revertedWithCustomError(opg, "ERC3009UsedAuthorization")
        .withArgs(payer, nonce);
      expect((await escrow.locks(nonce)).status).to.equal(LockStatus.None);
    });

    it("nonceBurnedInTheToken_stillLeavesLockOpen", async () => {
      // a payer who cancels, or who used the id as a nonce elsewhere, can still lock by allowance
      const stage = state();
      const request = await requestOf(stage);
      const nonce = await stage.escrow.requestIdOf(request);
      const authorization = {
        from: request.payer,
        to: stage.payee.address,
        value: 0n,
        validAfter: 0n,
        validBefore: 2n ** 40n,
        nonce,
      };
      const { v, r, s } = await signAuthorization(stage.opg, stage.payer, "TransferWithAuthorization", authorization);
      await stage.opg.transferWithAuthorization(request.payer, stage.payee, 0n, 0n, 2n ** 40n, nonce, v, r, s);
      await expect(stage.escrow.connect(stage.payer).lock(request)).to.emit(stage.escrow, "RequestLocked");
    });
  });

  describe("the operator's receipt", () => {
    it("ofAnotherRequest_reverts", async () => {
      const stage = state();
      const first = await lockedRequest(stage, {}, "first");
      const second = await lockedRequest(stage, {}, "second");
      const answer = await answerTo(stage);
      const signature = await signReceipt(stage, first, answer);
      await fulfil(stage, first, answer, signature);
      await expect(fulfil(stage, second, answer, signature)).to.be.revertedWithCustomError(
        stage.escrow,
        "InvalidSigner",
      );
    });

    it("withAnyFieldBent_reverts", async () => {
      const stage = state();
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage, { fee: opgWei(4) });
      const signature = await signReceipt(stage, request, answer);
      await nextBlockAt(stage, answer.servedAt + 10n);
      const bent = [{ outputHash: ethers.id("another") }, { fee: opgWei(10) }, { servedAt: answer.servedAt + 1n }];
      for (const change of bent) {
        await expect(fulfil(stage, request, { ...answer, ...change }, signature)).to.be.revertedWithCustomError(
          stage.escrow,
          "InvalidSigner",
        );
      }
    });

    it("underAnotherChainOrContract_reverts", async () => {
      const stage = state();
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      const real = await domainOf(stage.settlement);
      const others = [
        { ...real, chainId: 8453n },
        { ...real, verifyingContract: await stage.escrow.getAddress() },
        { ...real, version: "2" },
      ];
      for (const domain of others) {
        const signature = await signReceipt(stage, request, answer, { domain });
        await expect(fulfil(stage, request, answer, signature)).to.be.revertedWithCustomError(
          stage.escrow,
          "InvalidSigner",
        );
      }
    });

    it("inAnotherEscrowOfTheSameDomain_reverts", async () => {
      const stage = state();
      const { opg, nodes, models, zkml, escrow, owner, payer } = stage;
      const domain = await escrow.receiptDomain();
      const twin = await new InferenceEscrow__factory(owner).deploy(opg, nodes, models, zkml, domain, owner, 0);
      await opg.connect(payer).approve(twin, ethers.MaxUint256);
      const request = await lockedRequest(stage);
      await twin.connect(payer).lock(request);
      const answer = await answerTo(stage);
      const { outputHash, outputBlobId, fee, servedAt } = answer;
      const signature = await signReceipt(stage, request, answer);
      await expect(
        twin.fulfil(request, outputHash, outputBlobId, fee, servedAt, signature),
      ).to.be.revertedWithCustomError(twin, "InvalidSigner");
      const own = await signReceipt(stage, request, answer, { escrow: twin });
      await twin.fulfil(request, outputHash, outputBlobId, fee, servedAt, own);
    });

    it("malleableTwin_reverts", async () => {
      const stage = state();
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      const { r, vs } = await signReceipt(stage, request, answer);
      const { v, s } = malleableTwin(ethers.Signature.from({ r, yParityAndS: vs }));
      // a high s leaves no room for the parity bit: s' >= 2^255 sets it already, so both readings are tried
      for (const parity of [0n, BigInt(v - 27) << 255n]) {
        const twin = { r, vs: ethers.toBeHex(BigInt(s) | parity, 32) };
        await expect(fulfil(stage, request, answer, twin)).to.be.revertedWithCustomError(stage.escrow, "InvalidSigner");
      }
    });

    it("rubbish_revertsAsTheZeroSigner", async () => {
      const stage = state();
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      for (const vs of [ethers.ZeroHash, ethers.MaxUint256]) {
        const rubbish = { r: ethers.ZeroHash, vs: ethers.toBeHex(vs, 32) };
        await expect(fulfil(stage, request, answer, rubbish))
          .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
          .withArgs(ethers.ZeroAddress, stage.operator);
      }
    });

    it("ofAKeyRevokedBeforeTheLock_cannotBeBackDated", async () => {
      const stage = state();
      const { nodes, operator, key, escrow } = stage;
      const validAt = BigInt(await latestTimestamp(stage));
      await nextBlockAt(stage, validAt + 10n);
      await nodes.connect(operator).revokeSigner(key);
      await nextBlockAt(stage, validAt + 20n);
      const request = await lockedRequest(stage);
      const lockedAt = BigInt(await latestTimestamp(stage));
      await nextBlockAt(stage, lockedAt + 10n);
      await expect(fulfil(stage, request, await answerTo(stage, { servedAt: validAt })))
        .to.be.revertedWithCustomError(escrow, "InvalidServedAt")
        .withArgs(validAt, lockedAt, lockedAt + 10n);
      await expect(fulfil(stage, request, await answerTo(stage, { servedAt: lockedAt })))
        .to.be.revertedWithCustomError(escrow, "InvalidSigner")
        .withArgs(key, operator);
    });

    it("ofAKeyRevokedAfterItServed_staysValid", async () => {
      const stage = state();
      const { nodes, operator, key, escrow } = stage;
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      await nextBlockAt(stage, answer.servedAt + 10n);
      await nodes.connect(operator).revokeSigner(key);
      await nextBlockAt(stage, answer.servedAt + 20n);
      await expect(fulfil(stage, request, { ...answer, servedAt: answer.servedAt + 10n }))
        .to.be.revertedWithCustomError(escrow, "InvalidSigner")
        .withArgs(key, operator);
      await expect(fulfil(stage, request, answer)).to.emit(escrow, "RequestFulfilled");
    });

    it("ofAKeyAddedAfterItServed_reverts", async () => {
      const stage = state();
      const signer = testKey(2);
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      await nextBlockAt(stage, answer.servedAt + 10n);
      await addKey(stage, stage.operator, stage.nodeId, signer);
      const signature = await signReceipt(stage, request, answer, { signer });
      await expect(fulfil(stage, request, answer, signature))
        .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
        .withArgs(signer, stage.operator);
    });

    it("copiedFromTheMempool_paysTheSamePeople", async () => {
      const stage = state();
      const { escrow, operator, stranger } = stage;
      const request = await lockedRequest(stage);
      const answer = await answerTo(stage);
      const signature = await signReceipt(stage, request, answer);
      // where the output lies is not signed: a copier can only get the hint wrong, not the hash
      await escrow
        .connect(stranger)
        .fulfil(request, answer.outputHash, ethers.id("wrong hint"), answer.fee, answer.servedAt, signature);
      expect(await escrow.credits(operator)).to.equal(opgWei("8.9"));
      expect(await escrow.credits(stranger)).to.equal(0n);
    });
  });

  describe("the model's owner", () => {
    it("assigningTheRoyaltyAfterTheLock_movesNothingOfIt", async () => {
      const stage = state();
      const { escrow, models, modelOwner, payee, modelId } = stage;
      const request = await lockedRequest(stage);
      await models.connect(modelOwner).assignRoyalty(modelId, payee);
      await fulfil(stage, request, await answerTo(stage));
      expect(await escrow.credits(modelOwner)).to.equal(opgWei(1));
      expect(await escrow.credits(payee)).to.equal(0n);
    });
  });

  it("onePersonInAllParts_isPaidEveryPartOnce", async () => {
    const stage = state();
    const { connection, escrow, opg, models, modelOwner } = stage;
    const signer = testKey(2);
    await registerNode(stage, modelOwner, signer);
    const request = await requestOf(stage, { payer: modelOwner.address, operator: modelOwner.address });
    await escrow.connect(modelOwner).lock(request);
    const answer = await answerTo(stage, { fee: opgWei(4) });
    await fulfil(stage, request, answer, await signReceipt(stage, request, answer, { signer }));
    await expect(escrow.connect(modelOwner).claim(modelOwner)).to.changeTokenBalance(
      connection.ethers,
      opg,
      modelOwner,
      opgWei(10) - opgWei("0.04"),
    );
    expect((await models.termsOf(stage.modelId)).royaltyTo).to.equal(modelOwner);
  });

  it("highestFeesThereCanBe_neverExceedTheFee", async () => {
    const stage = state();
    const { opg, nodes, models, zkml, escrow, owner, payer, operator, modelOwner } = stage;
    const domain = await escrow.receiptDomain();
    const dearest = await new InferenceEscrow__factory(owner).deploy(opg, nodes, models, zkml, domain, owner, 1_000);
    await opg.connect(payer).approve(dearest, ethers.MaxUint256);
    await models.connect(modelOwner).publishVersion(1, {
      contentHash: ethers.id("dear"),
      blobId: ethers.ZeroHash,
      price: 0n,
      royaltyBps: 2_000,
      modes: 1,
    });
    const modelId = await models.modelIdOf(1, 2);
    const request = await requestOf(stage, { modelId, royaltyBps: 2_000, maxFee: 999n });
    await dearest.connect(payer).lock(request);
    const answer = await answerTo(stage, { fee: 999n });
    const sig = await signReceipt(stage, request, answer, { escrow: dearest });
    await dearest.fulfil(request, answer.outputHash, answer.outputBlobId, 999n, answer.servedAt, sig);
    expect([
      await dearest.credits(operator),
      await dearest.credits(modelOwner),
      await dearest.protocolCredit(),
    ]).to.deep.equal([999n - 199n - 99n, 199n, 99n]);
  });

  it("everythingThatWentIn_comesOut", async () => {
    const stage = state();
    const { escrow, opg, owner, operator, modelOwner, payer } = stage;
    const fees = [opgWei(10), opgWei("3.333333333333333333"), 1n, 0n];
    for (const [index, fee] of fees.entries()) {
      const request = await lockedRequest(stage, {}, `request ${index}`);
      await fulfil(stage, request, await answerTo(stage, { fee }));
    }
    const expired = await lockedRequest(stage, { maxFee: opgWei("7.000000000000000007") }, "expired");
    await nextBlockAt(stage, expired.deadline + 1n);
    await escrow.refund(expired);
    for (const each of [operator, modelOwner, payer]) await escrow.connect(each).claim(each);
    await escrow.sweepProtocolCredit(owner);
    expect(await opg.balanceOf(escrow)).to.equal(0n);
  });
});
