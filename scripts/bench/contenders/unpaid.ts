import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Contender, RunningContender } from "../harness/Contender.ts";
import { type ServerProcess, startProgram, startServer } from "../harness/childProcess.ts";
import { rawRequest } from "../load/requests.ts";
import { CHAT_BODY } from "./chatBody.ts";

/** The upstream asked directly: what the load generator can reach. */
export const calibration = (upstream: string): Contender => ({
  name: "upstream",
  title: "the upstream itself (calibration)",
  start: () => Promise.resolve(unpaid({ url: upstream, pid: 0, stop: () => Promise.resolve() })),
});

export const bare = (upstream: string): Contender => ({
  name: "bare",
  title: "Fastify + undici, unpaid",
  start: async () => unpaid(await startServer(new URL("../servers/bareProxy.ts", import.meta.url), { upstream })),
});

/** The gateway's main module, which the package does not export as such. */
function portkeyProgram(): string {
  const require = createRequire(import.meta.url);
  const manifest = require.resolve("@portkey-ai/gateway/package.json");
  return join(dirname(manifest), "build", "start-server.js");
}

export const portkey = (upstream: string): Contender => ({
  name: "portkey",
  title: "@portkey-ai/gateway, unpaid",
  start: async () =>
    unpaid(await startProgram((port) => [portkeyProgram(), "--headless", `--port=${port}`]), {
      authorization: "Bearer unused",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `${upstream}/v1`,
    }),
});

/** A server whose requests are all the same. */
export function unpaid(
  server: Pick<ServerProcess, "url" | "pid" | "stop">,
  headers: Readonly<Record<string, string>> = {},
): RunningContender {
  const { url, pid } = server;
  const request = rawRequest({ url, headers, body: CHAT_BODY });
  return {
    url,
    pids: pid === 0 ? [] : [pid],
    kind: "repeatable",
    requests: () => [request],
    live: pid === 0 ? [] : [{ kind: "openai", url, headers }],
    stop: () => server.stop(),
  };
}
