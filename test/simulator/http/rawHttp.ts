import { connect, type Socket } from "node:net";

/** What a server says to bytes that no HTTP client would send. */
export interface RawAnswer {
  /** Of the first answer; 0 when there was none. */
  status: number;
  /** Every status line, in order. */
  statuses: number[];
  text: string;
}

export interface RawOptions {
  /** Keep the sending side open, as a client does that waits. Default: true. */
  keepOpen?: boolean;
  /** Default 5,000. */
  boundMs?: number;
}

/** Sends bytes as they are and collects what comes until the server closes the connection. */
export function rawHttp(
  url: string,
  bytes: string | Buffer,
  { keepOpen = true, boundMs = 5_000 }: RawOptions = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = rawConnection(url);
    const parts: Buffer[] = [];
    const bound = setTimeout(() => {
      socket.destroy();
      reject(new Error(`Not closed within ${boundMs} ms; came: ${Buffer.concat(parts).toString("latin1")}`));
    }, boundMs);
    socket.on("data", (part) => parts.push(part));
    // a server that has read enough resets the connection while we are still writing
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(bound);
      const text = Buffer.concat(parts).toString("latin1");
      const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      resolve({ status: statuses[0] ?? 0, statuses, text });
    });
    if (keepOpen) socket.write(bytes);
    else socket.end(bytes);
  });
}

export function rawConnection(url: string): Socket {
  const { hostname, port } = new URL(url);
  return connect({ host: hostname, port: Number(port) });
}

/** A POST with a JSON body that closes the connection after it. `target` is what stands in the request line. */
export function rawPost(target: string, body: string, headers: readonly string[] = []): string {
  return [
    `POST ${target} HTTP/1.1`,
    "host: gateway.test",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...headers,
    "",
    body,
  ].join("\r\n");
}
