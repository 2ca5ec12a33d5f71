const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const FRAMING = /\r\n(?:content-length: *(\d+)|transfer-encoding: *chunked)/i;
const STREAM = /"stream" *: *true/;
const GET = 0x47;

/** As much of a request as the upstream has to know. */
export interface SeenRequest {
  get: boolean;
  stream: boolean;
}

/** Frames the HTTP/1.1 requests of one connection, with a length or in chunks. */
export class RequestReader {
  #held: Buffer | undefined;

  /** @returns the requests that are whole by now. */
  push(chunk: Buffer): SeenRequest[] {
    let rest = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    const seen: SeenRequest[] = [];
    while (rest.length > 0) {
      const end = requestEnd(rest);
      if (end === undefined) break;
      seen.push({ get: rest[0] === GET, stream: STREAM.test(rest.toString("latin1", 0, end)) });
      rest = rest.subarray(end);
    }
    this.#held = rest.length === 0 ? undefined : rest;
    return seen;
  }
}

function requestEnd(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const bodyStart = headEnd + HEAD_END.length;
  const framing = FRAMING.exec(bytes.toString("latin1", 0, headEnd));
  if (framing === null) return bodyStart;
  if (framing[1] !== undefined) {
    const end = bodyStart + Number(framing[1]);
    return end <= bytes.length ? end : undefined;
  }
  const last = bytes.indexOf(LAST_CHUNK, bodyStart);
  return last < 0 ? undefined : last + LAST_CHUNK.length;
}
