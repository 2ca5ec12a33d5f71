import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import type { GatewayFixture } from "./gatewayFixture.ts";
import type { GatewayProcessSettings } from "./gatewayProcess.ts";
import { NODE_TOKEN, type ScriptedNode } from "./ScriptedNode.ts";

const SCRIPT = fileURLToPath(new URL("./gatewayProcess.ts", import.meta.url));

/** A gateway in its own process over files that outlive it, always on the same port. */
export class KillableGateway {
  readonly #fixture: GatewayFixture;
  readonly #files: { storeFile: string; outboxFile: string };
  #process: ChildProcess | undefined;
  #port = 0;

  readonly #node: ScriptedNode;

  constructor(fixture: GatewayFixture, node = fixture.node) {
    this.#fixture = fixture;
    this.#node = node;
    this.#files = { storeFile: fixture.newFile(), outboxFile: fixture.newFile() };
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get files(): { storeFile: string; outboxFile: string } {
    return this.#files;
  }

  /** Resolves when it listens. */
  async start(
    stuckAt?: GatewayProcessSettings["stuckAt"],
    more: Pick<GatewayProcessSettings, "opgUsd" | "sessionIdleMs"> = {},
  ): Promise<void> {
    const { chain, domain } = this.#fixture;
    const node = this.#node;
    const settings: GatewayProcessSettings = {
      rpcUrl: chain.url,
      port: this.#port,
      settlement: domain.verifyingContract,
      asset: chain.asset,
      facilitatorKey: devAccounts()[9]!.privateKey,
      nodeUrl: node.url,
      nodeToken: NODE_TOKEN,
      ...this.#files,
      ...(stuckAt !== undefined && { stuckAt }),
      ...more,
    };
    const child = spawn(process.execPath, ["--import", "tsx", SCRIPT], {
      env: { ...process.env, GATEWAY: JSON.stringify(settings) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    const [line] = (await Promise.race([
      once(child.stdout, "data"),
      once(child, "exit").then(([code]) => Promise.reject(new Error(`The gateway process ended with ${String(code)}`))),
    ])) as [Buffer];
    this.#port = Number(new URL(line.toString().trim()).port);
  }

  /** As a power cut would, from the process's point of view. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
}
