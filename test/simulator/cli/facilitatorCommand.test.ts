import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { expect } from "chai";
import { parseEther } from "ethers";
import { pino } from "pino";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import { parsePayment } from "../../../simulator/facilitator/parsePayment.ts";
import type { PaymentStore } from "../../../simulator/facilitator/PaymentStore.ts";
import { PostgresPaymentStore } from "../../../simulator/facilitator/postgres/PostgresPaymentStore.ts";
import { SqlitePaymentStore } from "../../../simulator/facilitator/SqlitePaymentStore.ts";
import { startLocalChain, type LocalChain } from "../facilitator/localChain.ts";
import { requirementsFor, stockPayment } from "../facilitator/payments.ts";
import { withPostgres } from "../facilitator/postgres/withPostgres.ts";
import { eventually } from "../gateway/gatewayFixture.ts";

const MAIN = fileURLToPath(new URL("../../../simulator/cli/main.ts", import.meta.url));
const KEY = devAccounts()[9]!.privateKey;
const TOKEN = "a-long-secret";

interface Finished {
  code: number | null;
  out: string;
  err: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", MAIN, "facilitator", ...args], {
    env: { ...process.env, FACILITATOR_PRIVATE_KEY: undefined, FACILITATOR_STORE: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function finish(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const child = start(args, env);
  let [out, err] = ["", ""];
  child.stdout!.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr!.on("data", (part: Buffer) => (err += part.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

describe("opengradient facilitator", function () {
  this.timeout(120_000);
  let chain: LocalChain;
  let directory: string;

  before(async () => {
    chain = await startLocalChain();
    directory = mkdtempSync(join(tmpdir(), "facilitator-cli-"));
    await chain.opg.transfer(chain.account(1).address, parseEther("100"));
  });

  after(async () => {
    await chain.stop();
    rmSync(directory, { recursive: true });
  });

  describe("with SQLite", () => {
    worksOver(
      () => `sqlite:${join(directory, "new", "payments.db")}`,
      () => Promise.resolve(new SqlitePaymentStore(join(directory, "new", "payments.db"))),
    );
  });

  describe("with PostgreSQL", () => {
    const postgres = withPostgres();
    worksOver(
      () => postgres().url,
      () => PostgresPaymentStore.open({ url: postgres().url, logger: pino({ level: "silent" }) }),
    );
  });

  /** Settles by a stock client, then brings a dead letter back to life, in a process like a user's. */
  function worksOver(storeUrl: () => string, open: () => Promise<PaymentStore>): void {
    it("run_deadLetters_retry", async () => {
      const args = ["--rpc", chain.url, "--store", storeUrl(), "--port", "0", "--json", "--log-level", "silent"];
      const child = start([...args, "--operator", `acme=${TOKEN}`], { FACILITATOR_PRIVATE_KEY: KEY });
      try {
        const [line] = (await once(child.stdout!, "data")) as [Buffer];
        const about = JSON.parse(line.toString()) as {
          url: string;
          account: string;
          network: string;
          operators: string[];
        };
        expect(about).to.deep.include({
          account: chain.account(9).address,
          network: "eip155:31337",
          operators: ["acme"],
        });

        const headers = { Authorization: `Bearer ${TOKEN}` };
        const client = new HTTPFacilitatorClient({
          url: about.url,
          createAuthHeaders: () => Promise.resolve({ verify: headers, settle: headers, supported: headers }),
        });
        const requirements = requirementsFor(chain, chain.account(5).address, 1_000n);
        const settled = await client.settle(await stockPayment(chain, chain.account(1), requirements), requirements);
        expect(settled).to.include({ success: true });

        const payload = await stockPayment(chain, chain.account(1), requirements);
        const payment = parsePayment(payload, requirements);
        const { key } = payment;
        await bury(await open(), payment);
        const listed = await finish(["dead-letters", "--store", storeUrl(), "--json"]);
        expect(listed.code, listed.err).to.equal(0);
        expect(JSON.parse(listed.out)).to.deep.include.members([
          {
            key,
            kind: "exact/eip3009",
            payer: chain.account(1).address.toLowerCase(),
            payTo: requirements.payTo,
            amountWei: "1000",
            expiresAt: Number(payment.expiresAt),
            attempts: 0,
            reason: "given up \u001b[31m",
            transaction: null,
          },
        ]);
        const text = await finish(["dead-letters", "--store", storeUrl()]);
        expect(text.out).to.contain(key).and.contain("given up ?[31m").and.not.contain("\u001b");

        const retried = await finish(["retry", key, "--store", storeUrl()]);
        expect(retried.code, retried.err).to.equal(0);
        expect(retried.out).to.contain(`${key}: due again`);
        const store = await open();
        await eventually(async () => (await store.find(key))?.status === "settled", "charged after all", 30_000);
        await store.close();

        const again = await finish(["retry", key, "no/such/key", "--store", storeUrl(), "--json"]);
        expect(again.code).to.equal(1);
        expect(JSON.parse(again.out)).to.deep.equal([
          { key, reopened: false, status: "settled" },
          { key: "no/such/key", reopened: false, status: "unknown" },
        ]);
      } finally {
        child.kill("SIGTERM");
        const [code] = child.exitCode === null ? ((await once(child, "exit")) as [number]) : [child.exitCode];
        expect(code).to.equal(0);
      }
      expect(await chain.opg.balanceOf(chain.account(5).address)).to.be.greaterThan(0n);
    });
  }

  /** Leaves a payment as a facilitator does that gave up on it. */
  async function bury(store: PaymentStore, payment: ReturnType<typeof parsePayment>): Promise<void> {
    const worker = { account: chain.account(7).address.toLowerCase() as `0x${string}`, id: "test" };
    // in the future, so that the running facilitator does not take it first
    const nowMs = Date.now() + 3_600_000;
    await store.add({ payment, patience: "until-expiry", fromBlock: 0, nowMs });
    await store.claimDue({ worker, nowMs, limit: 10, leaseMs: 3_600_000 });
    expect(await store.markDead(worker, payment.key, "given up \u001b[31m")).to.equal(true);
    await store.close();
  }

  describe("mistakes", () => {
    const key = { FACILITATOR_PRIVATE_KEY: KEY };
    const run = (...args: string[]): string[] => [
      "--rpc",
      chain.url,
      "--store",
      `sqlite:${join(directory, "x.db")}`,
      ...args,
    ];
    const cases: [name: string, args: () => string[], env: NodeJS.ProcessEnv, says: RegExp][] = [
      ["noKey", () => run(), {}, /--private-key/],
      ["badKey", () => run(), { FACILITATOR_PRIVATE_KEY: "0x12" }, /private key of 32 bytes/],
      ["noChain", () => ["--rpc", "http://127.0.0.1:1"], key, /JSON-RPC endpoint at http:\/\/127\.0\.0\.1:1/],
      ["badStore", () => [...run(), "--store", "mysql://x"], key, /sqlite:FILE.*postgres:/],
      [
        "storeAway",
        () => [...run(), "--store", "postgres://me:hidden@127.0.0.1:1/db"],
        key,
        /postgres:\/\/me:\*\*\*@127/,
      ],
      ["shortToken", () => run("--operator", "acme=short"), key, /at least 8 characters/],
      ["reportsByAnybody", () => run("--tee-verifier", `0x${"12".repeat(20)}`), key, /needs an --operator/],
      [
        "noTeeVerifier",
        () => run("--operator", `a=${TOKEN}`, "--tee-verifier", `0x${"12".repeat(20)}`),
        key,
        /is no TEEInferenceVerifier/,
      ],
      [
        "heartbeatsFromTheSameAccount",
        () => run("--operator", `a=${TOKEN}`, "--tee-verifier", `0x${"12".repeat(20)}`, "--heartbeat-key", KEY),
        key,
        /different accounts/,
      ],
      ["refundsForAnybody", () => run("--receiver-authorizer-key", KEY), key, /name who may, by --operator/],
    ];
    for (const [name, args, env, says] of cases) {
      it(`${name}_saysWhatIsWrong`, async () => {
        const { code, out, err } = await finish(args(), env);
        expect(code).to.equal(1);
        expect(out).to.equal("");
        expect(err).to.match(says).and.not.contain("    at ").and.not.contain("hidden").and.not.contain(KEY);
      });
    }

    it("help_namesEveryCommandAndOption", async () => {
      const { code, out } = await finish(["--help"]);
      expect(code).to.equal(0);
      for (const word of [
        "dead-letters",
        "retry",
        "--store",
        "--rpc",
        "--private-key",
        "--port",
        "FACILITATOR_PRIVATE_KEY",
      ]) {
        expect(out).to.contain(word);
      }
      expect(out).to.not.contain(KEY);
    });
  });
});
