import { readFileSync, writeFileSync } from "node:fs";

const PREFIX_BYTES = 4;

/** What is asked of a server, besides its address. */
export interface RequestParts {
  /** Base URL. */
  url: string;
  /** Default "/v1/chat/completions". */
  path?: string;
  headers?: Readonly<Record<string, string>>;
  body: string;
}

/** A whole HTTP/1.1 POST request as it goes over the wire. */
export function rawRequest({ url, path = "/v1/chat/completions", headers = {}, body }: RequestParts): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    "content-type: application/json",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** Writes requests one after the other, each after its length as 4 bytes, big-endian. */
export function writeRequests(file: string, requests: readonly Buffer[]): void {
  const parts = requests.flatMap((request) => {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(request.length);
    return [prefix, request];
  });
  writeFileSync(file, Buffer.concat(parts));
}

/** Reads what `writeRequests` wrote. @throws RangeError when the file is cut. */
export function readRequests(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const requests: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at + PREFIX_BYTES;
    at = start + bytes.readUInt32BE(at);
    if (at > bytes.length) throw new RangeError(`${file} ends within request ${requests.length}`);
    requests.push(bytes.subarray(start, at));
  }
  return requests;
}
