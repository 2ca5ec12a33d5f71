import { expect } from "chai";
import { Wallet, keccak256, parseEther } from "ethers";
import type { Signer } from "ethers";

import { ContractRevertError } from "../../../simulator/chain/ContractRevertError.ts";
import type { Attempt } from "../../../simulator/chain/PendingTransaction.ts";
import {
  InsufficientFundsError,
  SubmitterStoppedError,
  TransactionTimeoutError,
} from "../../../simulator/chain/transactionErrors.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import type { TransactionSubmitterOptions } from "../../../simulator/chain/TransactionSubmitter.ts";
import { EmbeddedChain } from "../../../simulator/chain/EmbeddedChain.ts";
import { eventually, silent, startLocalChain } from "./localChain.ts";
import type { LocalChain } from "./localChain.ts";

const GWEI = 10n ** 9n;

describe("TransactionSubmitter", () => {
  let local: LocalChain;
  let submitter: TransactionSubmitter;
  const started: TransactionSubmitter[] = [];

  async function startSubmitter(signer: Signer, options: Partial<TransactionSubmitterOptions> = {}) {
    const fresh = new TransactionSubmitter({ chain: local.chain, signer, logger: silent, ...options });
    await fresh.start();
    started.push(fresh);
    return fresh;
  }

  const holder = () => local.wallets[0] as Wallet;
  const nonceOf = (address: string) => local.chain.provider.getTransactionCount(address, "latest");
  const transfer = (to: string, amount: bigint) => local.opg.transfer.populateTransaction(to, amount);
  const mine = () => local.rpc("evm_mine");

  beforeEach(async () => {
    local = await startLocalChain();
    submitter = await startSubmitter(holder(), { stuckAfterMs: 150 });
  });

  afterEach(async () => {
    for (const each of started.splice(0)) await each.stop();
    await local.close();
  });

  it("submit_fiftyAtOnce_minesEachOnceInOrder", async () => {
    const first = await nonceOf(holder().address);
    const recipients = Array.from({ length: 50 }, () => Wallet.createRandom().address);
    const receipts = await Promise.all(recipients.map((to, i) => submitter.submit(transfer(to, BigInt(i + 1)))));

    expect(receipts.every(({ status }) => status === 1)).to.equal(true);
    expect(new Set(receipts.map(({ hash }) => hash)).size).to.equal(50);
    expect(await nonceOf(holder().address)).to.equal(first + 50);
    const balances = await Promise.all(recipients.map((to) => local.opg.balanceOf(to)));
    expect(balances).to.deep.equal(recipients.map((_, i) => BigInt(i + 1)));
  });

  it("submit_callThatWouldRevert_decodesTheErrorAndSendsNothing", async () => {
    const poor = await startSubmitter(local.wallets[1] as Wallet);
    const error = await poor.submit(transfer(holder().address, 5n)).catch((e: unknown) => e);

    expect(error).to.be.instanceOf(ContractRevertError);
    const revert = error as ContractRevertError;
    expect(revert.code).to.equal("contract_revert");
    expect(revert.errorName).to.equal("ERC20InsufficientBalance");
    expect(revert.args).to.deep.equal({ sender: (local.wallets[1] as Wallet).address, balance: 0n, needed: 5n });
    expect(revert.transactionHash).to.equal(undefined);
    expect(await nonceOf(poor.address)).to.equal(0);
  });

  for (const automine of [true, false]) {
    it(`submit_minedAndFailing_decodesTheError (automine ${automine ? "on" : "off"})`, async () => {
      const poor = await startSubmitter(local.wallets[1] as Wallet);
      await local.rpc("evm_setAutomine", automine);
      const attempts: Attempt[] = [];
      const outcome = poor
        .submit(transfer(holder().address, 5n), { gasLimit: 100_000n, onAttempt: (attempt) => attempts.push(attempt) })
        .catch((e: unknown) => e);
      await eventually(() => attempts.length === 1);
      if (!automine) {
        await eventually(async () => (await local.chain.provider.getTransactionCount(poor.address, "pending")) === 1);
        await mine();
      }
      const revert = (await outcome) as ContractRevertError;
      expect(revert).to.be.instanceOf(ContractRevertError);
      expect(revert.errorName).to.equal("ERC20InsufficientBalance");
      expect(revert.transactionHash).to.equal(attempts[0]?.hash);

      await local.rpc("evm_setAutomine", true);
      const receipt = await poor.submit({ to: holder().address, value: 1n });
      expect(receipt.status).to.equal(1);
      expect(await nonceOf(poor.address)).to.equal(2);
    });
  }

  it("submit_feeTooLowForTheBlocks_replacesItWithAHigherOne", async () => {
    await local.rpc("evm_setAutomine", false);
    const attempts: Attempt[] = [];
    const recipient = Wallet.createRandom().address;
    const done = submitter.submit(transfer(recipient, 7n), { onAttempt: (attempt) => attempts.push(attempt) });
    await eventually(() => submitter.pending === 1 && attempts.length === 1);
    await eventually(async () => (await local.rpc("eth_getTransactionByHash", attempts[0]?.hash)) !== null);

    // The base fee rises above what was offered: this block passes the transaction over
    await local.rpc("hardhat_setNextBlockBaseFeePerGas", `0x${(500n * GWEI).toString(16)}`);
    await mine();
    await eventually(() => attempts.length > 1);
    await eventually(async () => (await local.rpc("eth_getTransactionByHash", attempts.at(-1)?.hash)) !== null);
    await mine();

    const receipt = await done;
    expect(receipt.status).to.equal(1);
    expect(receipt.hash).to.not.equal(attempts[0]?.hash);
    expect(attempts.map(({ hash }) => hash)).to.include(receipt.hash);
    expect(new Set(attempts.map(({ nonce }) => nonce)).size).to.equal(1);
    expect(await local.opg.balanceOf(recipient)).to.equal(7n);
  });

  it("submit_feeLimit_neverPaysMore", async () => {
    const limit = 3n * GWEI;
    const limited = await startSubmitter(local.wallets[2] as Wallet, { maxFeePerGasLimit: limit, stuckAfterMs: 50 });
    await local.rpc("evm_setAutomine", false);
    const attempts: Attempt[] = [];
    const done = limited.submit(
      { to: holder().address, value: 1n },
      { onAttempt: (attempt) => attempts.push(attempt) },
    );
    await eventually(() => attempts.length === 1);
    await local.rpc("hardhat_setNextBlockBaseFeePerGas", `0x${(4n * GWEI).toString(16)}`);
    await mine();
    const block = () => local.chain.provider.getBlock("latest");
    for (let fee = 4n * GWEI; fee > GWEI; fee = (await block())?.baseFeePerGas ?? 0n) await mine();

    expect((await done).status).to.equal(1);
    expect(attempts.every(({ fees }) => fees.maxFeePerGas <= limit)).to.equal(true);
  });

  it("submit_nonceUsedElsewhereBefore_takesTheNext", async () => {
    await submitter.submit({ to: holder().address, value: 1n });
    await holder().connect(local.chain.provider).sendTransaction({ to: holder().address, value: 1n });
    const receipt = await submitter.submit({ to: holder().address, value: 1n });
    expect(receipt.status).to.equal(1);
    expect(await nonceOf(holder().address)).to.equal(4);
  });

  it("submit_nonceTakenWhileItWaited_minesItOnceWithAnother", async () => {
    await local.rpc("evm_setAutomine", false);
    const attempts: Attempt[] = [];
    const recipient = Wallet.createRandom().address;
    const done = submitter.submit(transfer(recipient, 9n), { onAttempt: (attempt) => attempts.push(attempt) });
    await eventually(() => attempts.length === 1);
    await eventually(async () => (await local.rpc("eth_getTransactionByHash", attempts[0]?.hash)) !== null);

    const rival = await holder().signTransaction({
      type: 2,
      chainId: local.chain.chainId,
      nonce: attempts[0]?.nonce ?? -1,
      to: holder().address,
      gasLimit: 21_000n,
      maxFeePerGas: 200n * GWEI,
      maxPriorityFeePerGas: 100n * GWEI,
    });
    await local.rpc("eth_sendRawTransaction", rival);
    await mine();
    await eventually(() => attempts.length > 1);
    await local.rpc("evm_setAutomine", true);
    await mine();

    const receipt = await done;
    expect(receipt.status).to.equal(1);
    expect(attempts.at(-1)?.nonce).to.equal((attempts[0]?.nonce ?? 0) + 1);
    expect(await local.opg.balanceOf(recipient)).to.equal(9n);
  });

  it("submit_nonceBlockedByAnEarlierProcess_freesIt", async () => {
    await local.rpc("evm_setAutomine", false);
    const nonce = await nonceOf(holder().address);
    const fees = { maxFeePerGas: 2n * GWEI, maxPriorityFeePerGas: 1n };
    const blocker = await holder().signTransaction({
      type: 2,
      chainId: local.chain.chainId,
      nonce,
      to: holder().address,
      gasLimit: 21_000n,
      ...fees,
    });
    await local.rpc("eth_sendRawTransaction", blocker);
    const recipient = Wallet.createRandom().address;
    const attempts: Attempt[] = [];
    const done = submitter.submit(transfer(recipient, 3n), { onAttempt: (attempt) => attempts.push(attempt) });
    await eventually(() => attempts.length > 0);
    expect(attempts[0]?.nonce).to.equal(nonce + 1);

    let mined = false;
    void done.finally(() => (mined = true));
    await eventually(async () => {
      // No block takes the other process's fee any more
      await local.rpc("hardhat_setNextBlockBaseFeePerGas", `0x${(50n * GWEI).toString(16)}`);
      await mine();
      return mined;
    });
    expect((await done).status).to.equal(1);
    expect(await local.chain.provider.getTransactionReceipt(keccak256(blocker))).to.equal(null);
    expect(await local.opg.balanceOf(recipient)).to.equal(3n);
  });

  it("submit_nodeAwayAndStartedAgainAfresh_isMinedOnTheNewChain", async () => {
    await submitter.submit({ to: holder().address, value: 1n });
    const { port } = new URL(local.embedded.url);
    await local.embedded.stop();
    const done = submitter.submit({ to: holder().address, value: 1n });
    const again = new EmbeddedChain({ logger: silent, port: Number(port) });
    await again.start();
    try {
      expect((await done).status).to.equal(1);
      expect(await nonceOf(holder().address)).to.equal(1);
    } finally {
      await submitter.stop();
      await again.stop();
    }
  });

  it("submit_chainRolledBack_goesOnFromTheLowerNonce", async () => {
    const snapshot = await local.rpc("evm_snapshot");
    const before = await nonceOf(holder().address);
    await submitter.submit({ to: holder().address, value: 1n });
    await submitter.submit({ to: holder().address, value: 1n });
    await local.rpc("evm_revert", snapshot);
    expect((await submitter.submit({ to: holder().address, value: 1n })).status).to.equal(1);
    expect(await nonceOf(holder().address)).to.equal(before + 1);
  });

  it("submit_notMinedInTime_tellsTheHashesAndKeepsTheNonce", async () => {
    await local.rpc("evm_setAutomine", false);
    const error = await submitter
      .submit({ to: holder().address, value: 1n }, { timeoutMs: 200 })
      .catch((e: unknown) => e);
    expect(error).to.be.instanceOf(TransactionTimeoutError);
    const { hashes } = error as TransactionTimeoutError;
    expect(hashes.length).to.be.greaterThan(0);

    const next = submitter.submit({ to: holder().address, value: 2n });
    await eventually(async () => (await local.chain.provider.getTransactionCount(holder().address, "pending")) === 3);
    await mine();
    expect((await next).status).to.equal(1);
    const receipts = await Promise.all(hashes.map((hash) => local.chain.provider.getTransactionReceipt(hash)));
    expect(receipts.filter((receipt) => receipt?.status === 1)).to.have.length(1);
  });

  it("submit_confirmations_waitsForTheBlocksAbove", async () => {
    const patient = await startSubmitter(local.wallets[3] as Wallet, { confirmations: 3 });
    let settled = false;
    const done = patient.submit({ to: holder().address, value: 1n }).finally(() => (settled = true));
    await eventually(async () => (await nonceOf(patient.address)) === 1);
    await mine();
    // Two more looks at the chain, made after the second block
    const { head } = local.chain;
    await new Promise<void>((resolve) => {
      const end = head.subscribe(() => (resolve(), queueMicrotask(() => end())));
    });
    expect(settled).to.equal(false);
    await mine();
    expect((await done).status).to.equal(1);
  });

  it("submit_accountWithoutEther_throwsInsufficientFunds", async () => {
    const poor = await startSubmitter(new Wallet(Wallet.createRandom().privateKey));
    const errors = await Promise.all([
      poor.submit({ to: holder().address, value: parseEther("1") }).catch((e: unknown) => e),
      poor.submit({ to: holder().address, value: 1n }, { gasLimit: 21_000n }).catch((e: unknown) => e),
    ]);
    for (const error of errors) expect(error).to.be.instanceOf(InsufficientFundsError);
  });

  it("stop_whileWaiting_rejectsWhatIsUnderWay", async () => {
    await local.rpc("evm_setAutomine", false);
    const outcome = submitter.submit({ to: holder().address, value: 1n }).catch((e: unknown) => e);
    await eventually(async () => (await local.chain.provider.getTransactionCount(holder().address, "pending")) === 2);
    await submitter.stop();
    expect(await outcome).to.be.instanceOf(SubmitterStoppedError);
    expect(await submitter.submit({ to: holder().address }).catch((e: unknown) => e)).to.be.instanceOf(
      SubmitterStoppedError,
    );
  });
});
