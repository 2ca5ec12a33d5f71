import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const READY_MS = 120_000;
const STOP_MS = 10_000;

/** A server in a process of its own. */
export interface ServerProcess {
  /** Base URL. */
  url: string;
  pid: number;
  /** What it said besides its URL when it was ready. */
  facts: Readonly<Record<string, unknown>>;
  /** Asks it something while it runs; one question at a time. */
  ask<A>(question: unknown): Promise<A>;
  stop(): Promise<void>;
}

/** Starts a TypeScript file that calls `serve`, with settings it can be sent as JSON. @throws Error when it does not get ready. */
export async function startServer(file: URL, settings: object = {}): Promise<ServerProcess> {
  const profile = process.env["BENCH_PROFILE"];
  const child = fork(fileURLToPath(file), [JSON.stringify(settings)], {
    execArgv: [...process.execArgv, ...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`])],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const { url, ...facts } = (await firstMessage(child, fileURLToPath(file))) as { url: string };
  const ask = async <A>(question: unknown): Promise<A> => {
    const answer = nextMessage(child) as Promise<{ result: A } | { error: string }>;
    child.send(question as object);
    const said = await answer;
    if ("error" in said) throw new Error(`${basename(fileURLToPath(file))}: ${said.error}`);
    return said.result;
  };
  return { url, pid: child.pid!, facts, ask, stop: () => stop(child) };
}

/** Starts a program of others that takes a port, and waits until it listens. */
export async function startProgram(args: (port: number) => string[]): Promise<Omit<ServerProcess, "ask">> {
  const port = await freePort();
  const child = spawn(process.execPath, args(port), { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  for (const endsAt = Date.now() + READY_MS; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    if (child.exitCode !== null || Date.now() > endsAt) throw new Error(`${args(port).join(" ")} does not listen`);
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer !== undefined) return { url, pid: child.pid!, facts: {}, stop: () => stop(child) };
  }
}

function firstMessage(child: ChildProcess, name: string): Promise<unknown> {
  return Promise.race([
    nextMessage(child),
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`${name} is not ready after ${READY_MS} ms`)), READY_MS).unref();
    }),
  ]);
}

async function nextMessage(child: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const exited = once(child, "exit", { signal: gone.signal }).then(([code]) => {
    throw new Error(`${child.spawnfile} ${child.spawnargs.slice(-2).join(" ")} ended with ${String(code)}`);
  });
  try {
    const [message] = (await Promise.race([once(child, "message", { signal: gone.signal }), exited])) as unknown[];
    return message;
  } finally {
    exited.catch(() => undefined);
    gone.abort();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exited;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
