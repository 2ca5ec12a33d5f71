/** Splits a byte stream into whole server-sent events, each with the blank line that ends it. */
export class EventSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** @returns the events that are complete by now. */
  push(bytes: Uint8Array): Buffer[] {
    let data = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const events: Buffer[] = [];
    for (;;) {
      const end = endOfEvent(data);
      if (end === undefined) break;
      events.push(data.subarray(0, end));
      data = data.subarray(end);
    }
    this.#rest = data;
    return events;
  }

  /** Bytes after the last whole event: not empty when the stream was cut. */
  get rest(): Buffer {
    return this.#rest;
  }
}

/** A blank line: two line ends in a row, each LF or CRLF. */
function endOfEvent(data: Buffer): number | undefined {
  for (let at = data.indexOf(0x0a); at >= 0; at = data.indexOf(0x0a, at + 1)) {
    const next = data[at + 1] === 0x0d ? at + 2 : at + 1;
    if (data[next] === 0x0a) return next + 1;
  }
  return undefined;
}

/** The `data` of an event, its lines joined; undefined for comments and keep-alives. */
export function eventData(event: Buffer): string | undefined {
  const lines = event
    .toString("utf8")
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(line[5] === " " ? 6 : 5));
  return lines.length === 0 ? undefined : lines.join("\n");
}

export const encodeEvent = (data: string): Buffer => Buffer.from(`data: ${data}\n\n`, "utf8");

/** What ends an OpenAI stream. */
export const DONE = "[DONE]";
